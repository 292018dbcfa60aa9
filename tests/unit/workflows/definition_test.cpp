#include "builders.hpp"

namespace troupe::workflow {
namespace {

using namespace workflow::testing;

json film() { return parse_json(file_text(source_dir / "workflows/definitions/short-film.json")).value(); }

// stages: 0 generate, 1 upscale, 2 join, 3 narrate, 4 transcribe, 5 mix, 6 subtitle
std::string problems_of(const json& document) { return texts(parse_definition(document, "film.json").problems); }

/// The film with one thing changed must be refused with just this text.
void expect_problem(const std::function<void(json&)>& change, const std::string& text) {
  auto document = film();
  change(document);
  EXPECT_EQ(problems_of(document), "film.json: " + text + "\n");
}

TEST(Definition, MalformedJsonNamesTheFileAndThePosition) {
  auto parsed = parse_definition_text("{\"name\": }", "broken.json");
  ASSERT_EQ(parsed.problems.size(), 1u);
  EXPECT_TRUE(parsed.problems[0].text().starts_with("broken.json: malformed JSON at byte 10"))
      << parsed.problems[0].text();
  EXPECT_FALSE(parsed.definition);
}

TEST(Definition, AnUnknownStageKindNamesTheNearest) {
  expect_problem([](json& d) { d["stages"][1]["kind"] = "upscale.vidoe"; },
                 "stage 'upscale': kind: unknown stage kind 'upscale.vidoe'; did you mean 'upscale.video'?");
}

TEST(Definition, ACycleIsSpelledOut) {
  auto a = null_stage("a", {"c"}), b = null_stage("b", {"a"}), c = null_stage("c", {"b"});
  EXPECT_EQ(problems_of(null_workflow({a, b, c}, "c")),
            "film.json: stage 'a': inputs: the stages go round in a circle: a -> b -> c -> a\n");
  EXPECT_EQ(problems_of(null_workflow({null_stage("a", {"a"})}, "a")),
            "film.json: stage 'a': inputs: the stages go round in a circle: a -> a\n");
}

TEST(Definition, AMissingInputIsNamed) {
  expect_problem([](json& d) { d["stages"][5]["inputs"].erase("audio"); },
                 "stage 'mix': inputs.audio: is missing: ffmpeg.mix needs it");
}

TEST(Definition, AnInputFromNowhereIsNamed) {
  expect_problem([](json& d) { d["stages"][5]["inputs"]["video"] = "jion.video"; },
                 "stage 'mix': inputs.video: there is no stage 'jion'; did you mean 'join'?");
  expect_problem([](json& d) { d["stages"][5]["inputs"]["video"] = "join.film"; },
                 "stage 'mix': inputs.video: 'join' (ffmpeg.concat) has no output 'film'");
  expect_problem([](json& d) { d["stages"][5]["inputs"]["video"] = "join"; },
                 "stage 'mix': inputs.video: must be \"stage.port\"");
}

TEST(Definition, AFileOfTheWrongTypeIsRefused) {
  expect_problem([](json& d) { d["stages"][5]["inputs"]["video"] = "narrate.audio"; },
                 "stage 'mix': inputs.video: takes video, but 'narrate.audio' is audio");
}

TEST(Definition, OnePortTakesOneFile) {
  expect_problem([](json& d) { d["stages"][5]["inputs"]["video"] = "upscale.video"; },
                 "stage 'mix': inputs.video: takes one file, but 'upscale' makes one for each of inputs.shots");
  expect_problem(
      [](json& d) {
        d["stages"][5]["inputs"]["video"] = {"join.video", "join.video"};
      },
      "stage 'mix': inputs.video: takes one file, not a list");
}

TEST(Definition, AnUnknownReferenceIsNamed) {
  expect_problem([](json& d) { d["stages"][0]["params"]["prompt"] = "$item.promt"; },
                 "stage 'generate': params.prompt: '$item.promt': the items have no field 'promt'");
  expect_problem([](json& d) { d["stages"][3]["params"]["text"] = "$item.prompt"; },
                 "stage 'narrate': params.text: '$item.prompt': the stage has no for_each, so there is no item");
  expect_problem([](json& d) { d["stages"][3]["params"]["text"] = "$inputs.story"; },
                 "stage 'narrate': params.text: '$inputs.story': there is no input 'story'");
}

TEST(Definition, AParameterOfTheWrongTypeOrRangeIsNamed) {
  expect_problem([](json& d) { d["stages"][1]["params"]["factor"] = "$inputs.narration"; },
                 "stage 'upscale': params.factor: is of type string, but integer is wanted");
  expect_problem([](json& d) { d["stages"][1]["params"]["factor"] = 9; },
                 "stage 'upscale': params.factor: it must be at most 4");
  expect_problem([](json& d) { d["stages"][1]["params"]["factr"] = 2; },
                 "stage 'upscale': params.factr: upscale.video has no such parameter; did you mean 'factor'?");
  expect_problem([](json& d) { d["stages"][0]["params"].erase("prompt"); },
                 "stage 'generate': params.prompt: is missing: scene.video needs it");
}

TEST(Definition, ANeededValueThatMayBeLeftOutIsRefused) {
  expect_problem(
      [](json& d) { d["inputs"]["narration"].erase("required"); },
      "stage 'narrate': params.text: refers to a value that may be left out: make that required or give it a "
      "default\nfilm.json: stage 'narrate': price.text: refers to a value that may be left out: make that "
      "required or give it a default");
}

TEST(Definition, AStageThatNobodyNeedsIsUnreachable) {
  expect_problem([](json& d) { d["result"].erase("narration"), d["stages"].push_back(null_stage("lonely")); },
                 "stage 'lonely': is unreachable: no result depends on it");
}

TEST(Definition, TwoStagesCannotShareAnId) {
  expect_problem([](json& d) { d["stages"][4]["id"] = "mix"; }, "stage 'mix': id: is used by two stages");
}

TEST(Definition, AnUnknownFieldNamesTheNearest) {
  expect_problem([](json& d) { d["stages"][0]["timeout"] = 5; },
                 "stage 'generate': timeout: unknown field; did you mean 'timeout_s'?");
  expect_problem([](json& d) { d["stagez"] = 5; }, "stagez: unknown field; did you mean 'stages'?");
  expect_problem([](json& d) { d["inputs"]["voice"]["choises"] = 5; },
                 "inputs.voice.choises: unknown field; did you mean 'choices'?");
}

TEST(Definition, APriceMustBeKnownAndComplete) {
  expect_problem(
      [](json& d) {
        d["stages"][0]["price"] = {{"rule", "video_modal"}};
      },
      "stage 'generate': price.rule: unknown rule 'video_modal'; did you mean 'video_model'?");
  expect_problem([](json& d) { d["stages"][0]["price"].erase("steps"); },
                 "stage 'generate': price: the rule 'video_model' needs model and frames and steps");
  expect_problem([](json& d) { d["stages"][1]["price"].erase("frame_rate"); },
                 "stage 'upscale': price: the rule 'upscale' needs seconds, or frames and frame_rate");
  expect_problem([](json& d) { d["stages"][2]["price"]["clips"] = "$inputs.narration"; },
                 "stage 'join': price.clips: is of type string, but integer is wanted");
  expect_problem([](json& d) { d["stages"][0].erase("price"); },
                 "stage 'generate': price: is missing; {\"rule\": \"free\"} when it costs nothing");
}

TEST(Definition, AnEstimateIsANumberOfSeconds) {
  auto with = [](json estimate) { return [estimate](json& d) { d["stages"][1]["estimate_s"] = estimate; }; };
  expect_problem(with(-1), "stage 'upscale': estimate_s: it must be at least 0");
  expect_problem(with(86'401), "stage 'upscale': estimate_s: it must be at most 86400");
  expect_problem(with("soon"), "stage 'upscale': estimate_s: it must be a number");
  expect_problem(with("$inputs.voice"), "stage 'upscale': estimate_s: is of type enum, but number is wanted");
  expect_problem(with({{"$value", {"$params.factr", "*", 2}}}),
                 "stage 'upscale': estimate_s: '$params.factr': the stage kind has no parameter 'factr'");
}

TEST(Definition, ARepetitionNeedsAListOrARepeatedStage) {
  expect_problem([](json& d) { d["stages"][0]["for_each"] = "inputs.voice"; },
                 "stage 'generate': for_each: 'voice' is not a list");
  expect_problem([](json& d) { d["stages"][1]["for_each"] = "narrate"; },
                 "stage 'upscale': for_each: the stage 'narrate' is not repeated");
  expect_problem(
      [](json& d) { d["stages"][0]["for_each"] = "upscale"; },
      "stage 'generate': for_each: goes round in a circle\nfilm.json: stage 'upscale': for_each: goes round in "
      "a circle");
}

TEST(Definition, AFileNameMustBeSafeAndTellJobsApart) {
  auto refuse = [](const char* name, const char* why) {
    expect_problem([&](json& d) { d["result"]["video"]["filename"] = name; },
                   std::string{"result.video.filename: "} + why);
  };
  refuse("film.mp4", "must contain {job}, so that no two jobs' files have one name");
  refuse("../{job}.mp4", "must be of letters, digits, '_', '-' and '.', at most 100, and {job} and {n…} once each");
  refuse("{job}/x.mp4", "must be of letters, digits, '_', '-' and '.', at most 100, and {job} and {n…} once each");
  refuse("{job}_{x}.mp4", "must be of letters, digits, '_', '-' and '.', at most 100, and {job} and {n…} once each");
  refuse("{job}_{n.mp4", "{n…} is not closed");
  refuse("{job}", "must have an extension");
  expect_problem([](json& d) { d["result"]["video"]["from"] = "upscale.video"; },
                 "result.video.filename: must contain {n}, because the stage is repeated");
}

TEST(Definition, DefaultsMustFitTheirOwnRules) {
  expect_problem([](json& d) { d["inputs"]["upscale"]["default"] = 5; },
                 "inputs.upscale.default: it must be at most 4");
  expect_problem([](json& d) { d["inputs"]["width"]["default"] = "$inputs.model.sampler"; },
                 "inputs.width.default: is of type string, not integer");
  expect_problem([](json& d) { d["inputs"]["width"]["default"] = "$inputs.height"; },
                 "inputs.width.default: may only refer to a model's field, such as \"$inputs.model.width\"");
}

TEST(Definition, BoundsAreNumbersThatTheirTypeCanHave) {
  auto refuse = [](const json& type, const json& bound, const char* what) {
    expect_problem(
        [&](json& d) {
          d["inputs"]["width"] = {{"type", type}, {"min", bound}, {"description", "wide"}};
        },
        what);
  };
  refuse("integer", -3.3e128, "inputs.width.min: must be an integer, at most 2^53 either way");
  refuse("integer", 0.5, "inputs.width.min: must be an integer, at most 2^53 either way");
  refuse("number", "none", "inputs.width.min: must be a number");
  auto document = film();
  document["inputs"]["width"]["max"] = 9007199254740992;
  document["inputs"]["width"].erase("multiple_of");
  auto parsed = parse_definition(document, "film.json");
  ASSERT_TRUE(parsed.definition) << parsed.problems.front().text();
  EXPECT_EQ(describe(*parsed.definition)["inputs"]["properties"]["width"]["maximum"], 9007199254740992);
}

TEST(Definition, AStageHasAClassMayNeedMemoryAndMayBeSpeculative) {
  auto document = film();
  document["stages"][1]["class"] = "preemptible";
  document["stages"][1]["speculative"] = true;
  document["stages"][1]["vram_mib"] = 24'000;
  auto parsed = parse_definition(document, "film.json");
  ASSERT_TRUE(parsed.definition) << texts(parsed.problems);
  EXPECT_EQ(parsed.definition->find_stage("upscale")->urgency, stage_class::preemptible);
  EXPECT_TRUE(parsed.definition->find_stage("upscale")->speculative);
  EXPECT_EQ(parsed.definition->find_stage("upscale")->vram_mib, 24'000u);
  EXPECT_EQ(parsed.definition->find_stage("generate")->vram_mib, 0u);
  EXPECT_EQ(parsed.definition->find_stage("generate")->urgency, stage_class::standard);
  EXPECT_FALSE(parsed.definition->find_stage("generate")->speculative);
  expect_problem([](json& d) { d["stages"][1]["class"] = "urgent"; },
                 "stage 'upscale': class: unknown class 'urgent'; there are interactive, standard and preemptible");
  expect_problem([](json& d) { d["stages"][1]["speculative"] = "yes"; },
                 "stage 'upscale': speculative: must be true or false");
  expect_problem([](json& d) { d["stages"][1]["vram_mib"] = -1; }, "stage 'upscale': vram_mib: must be at least 0");
}

TEST(Definition, AllThatIsWrongIsToldAtOnce) {
  auto document = film();
  document["stages"][0]["kind"] = "scene.vide";
  document["stages"][6]["timeout_s"] = 0;
  document["min_tier"] = "gold";
  EXPECT_EQ(parse_definition(document, "film.json").problems.size(), 3u);
}

TEST(Definition, NoDocumentHoweverOddEndsTheProgram) {
  for (const json& odd : {json(nullptr), json(7), json::array(), json::object(), json{{"stages", {1, "x", nullptr}}},
                          json{{"stages", {{{"id", 7}, {"inputs", {{"a", 7}, {"b", json::array()}}}}}}},
                          json{{"inputs", {{"a", {{"type", "list"}, {"items", {{"type", "list"}}}}}}}}})
    EXPECT_FALSE(parse_definition(odd, "odd.json").problems.empty()) << odd;
}

/// Goal: no single wrong value in a definition can crash the loader or slip by as a crash later.
/// Method: replace every value of the film, one at a time, by values of other types; what is accepted must expand.
TEST(Definition, SurvivesEveryValueBeingReplaced) {
  auto flat = film().flatten();
  for (const auto& [path, ignored] : flat.items())
    for (const json& odd :
         {json(nullptr), json(-1), json(1e308), json(""), json("$"), json("a.b"), json::array(), json::object()}) {
      auto document = film();
      document[json::json_pointer(path)] = odd;
      auto parsed = parse_definition(document, "film.json");
      ASSERT_EQ(parsed.definition == nullptr, !parsed.problems.empty());
      if (!parsed.definition)
        continue;
      if (auto inputs = validate_inputs(*parsed.definition, film_inputs()))
        (void)expand(*parsed.definition, *inputs, {"", 1});
    }
}

TEST(Definition, StagesComeAfterWhatTheyNeedWhateverTheOrderOfTheFile) {
  auto document = film();
  std::reverse(document["stages"].begin(), document["stages"].end());
  auto backwards = accepted(document);
  auto made = planned(backwards, film_inputs());
  for (const auto& stage : made->stages)
    for (auto needed : stage.dependencies)
      EXPECT_LT(needed, stage.index);
}

TEST(Definition, TheHashIsOfTheContentAndNotOfTheLayout) {
  auto document = film();
  auto spaced = parse_definition_text(document.dump(8), "a.json").definition;
  auto dense = parse_definition_text(document.dump(), "b.json").definition;
  EXPECT_EQ(spaced->hash, dense->hash);
  EXPECT_TRUE(is_sha256(spaced->hash));
  document["version"] = 2;
  EXPECT_NE(accepted(document)->hash, dense->hash);
}

} // namespace
} // namespace troupe::workflow
