#include "builders.hpp"
#include "workflows/definition_store.hpp"

#include "common/catalog/models.hpp"

namespace troupe::workflow {
namespace {

using namespace workflow::testing;

const stage_instance& named(const plan& what, const std::string& name) {
  for (const auto& stage : what.stages)
    if (stage.name == name)
      return stage;
  ADD_FAILURE() << "no stage " << name;
  return what.stages.front();
}

TEST(ShippedDefinitions, AllLoad) {
  definition_store store;
  EXPECT_EQ(texts(store.load(source_dir / "workflows/definitions")), "");
  EXPECT_TRUE(store.find("text-to-video"));
  EXPECT_TRUE(store.find("short-film"));
  EXPECT_TRUE(store.find("bench-chain"));
}

TEST(TextToVideo, OnlyAPromptGivesTheModelsDefaultsAndItsPrice) {
  for (const auto& model : catalog::video_models()) {
    if (model.stand_in.empty())
      continue;
    SCOPED_TRACE(model.id);
    auto made = planned(shipped("text-to-video"), {{"prompt", "a sunrise"}, {"model", model.id}});
    ASSERT_TRUE(made);
    ASSERT_EQ(made->stages.size(), 1u);
    const auto& params = made->stages[0].params;
    EXPECT_EQ(params["width"], model.defaults.width);
    EXPECT_EQ(params["frames"], model.defaults.frames);
    EXPECT_EQ(params["sampler"], model.defaults.sampler);
    EXPECT_EQ(params["model"], model.id);
    EXPECT_EQ(made->price(), catalog::video_price(model.price, model.defaults.frames, model.defaults.steps));
  }
}

TEST(TextToVideo, TheDocumentedRequestCosts21Credits) {
  json request{{"model", "wan-t2v"},
               {"prompt", "A cinematic shot of a golden sunrise over mountains"},
               {"negative_prompt", "blurry, distorted"},
               {"width", 848},
               {"height", 480},
               {"frames", 41},
               {"steps", 4},
               {"cfg", 1},
               {"seed", -1},
               {"sampler", "sa_solver"},
               {"scheduler", "beta"},
               {"shift", 8},
               {"frame_rate", 24}};
  auto made = planned(shipped("text-to-video"), request);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->price(), credits(21));
  EXPECT_EQ(made->stages[0].estimate_ms, 2'086u) << "848 × 480 × 41 pixels at 8 million a second";
  EXPECT_EQ(made->results[0].name, "video");
  EXPECT_EQ(filename_of(made->results[0], "abc123"), "webgen_abc123_00001.mp4");
  EXPECT_EQ(made->min_tier, catalog::tier::free);
}

TEST(TextToVideo, AModelThatNeedsAnImageIsNotServedByAScene) {
  auto workflow = shipped("text-to-video");
  auto inputs = validate_inputs(*workflow, {{"prompt", "a"}, {"model", "wan-i2v"}});
  ASSERT_TRUE(inputs);
  auto made = expand(*workflow, *inputs, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "model_unavailable");
  EXPECT_TRUE(made.error().message.starts_with("wan-i2v cannot be served now: It animates an image"));
}

TEST(TextToVideo, BadInputsNameTheField) {
  auto workflow = shipped("text-to-video");
  auto refusal = [&](json change) {
    json given{{"prompt", "a"}};
    given.update(change);
    auto checked = validate_inputs(*workflow, given);
    return checked ? "" : checked.error().message;
  };
  EXPECT_EQ(refusal({{"prompt", nullptr}}), "prompt is required");
  EXPECT_EQ(refusal({{"prompt", "  "}}), "prompt must not be empty");
  EXPECT_EQ(refusal({{"prompt", std::string(2001, 'x')}}), "prompt must be at most 2000 characters long, it is 2001");
  EXPECT_EQ(refusal({{"frames", -3}}), "frames must be at least 1");
  EXPECT_EQ(refusal({{"frames", "41"}}), "frames must be an integer");
  EXPECT_EQ(refusal({{"width", 1e308}}), "width must be at most 4096");
  EXPECT_EQ(refusal({{"width", 481}}), "width must be even");
  EXPECT_EQ(refusal({{"cfg", 1e308}}), "cfg must be at most 30");
  EXPECT_EQ(refusal({{"model", "nope"}}), "model is not a known video model; GET /api/models lists them");
  EXPECT_EQ(refusal({{"seed", 4294967296}}), "seed must be at most 2147483647");
  EXPECT_EQ(refusal({{"unknown", 1}}), "");
}

TEST(TextToVideo, TheAccountsWatermarkIsDrawn) {
  auto workflow = shipped("text-to-video");
  auto inputs = validate_inputs(*workflow, {{"prompt", "a"}});
  EXPECT_EQ(expand(*workflow, *inputs, {"Made with Troupe", 1})->stages[0].params["watermark"], "Made with Troupe");
  EXPECT_EQ(expand(*workflow, *inputs, {"", 1})->stages[0].params["watermark"], "");
}

TEST(ShortFilm, ExpandsToTheWholeGraph) {
  auto made = planned(shipped("short-film"), film_inputs(3));
  ASSERT_TRUE(made);
  ASSERT_EQ(made->stages.size(), 11u);
  auto index = [&](const char* name) { return named(*made, name).index; };
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto shot = "[" + std::to_string(i) + "]";
    EXPECT_EQ(named(*made, "generate" + shot).params["prompt"], "shot " + std::to_string(i));
    EXPECT_EQ(named(*made, "generate" + shot).params["frames"], 48);
    EXPECT_EQ(named(*made, "upscale" + shot).dependencies, std::vector{named(*made, "generate" + shot).index});
    EXPECT_EQ(named(*made, "upscale" + shot).params["factor"], 2);
  }
  const auto& join = named(*made, "join");
  ASSERT_EQ(join.inputs.size(), 1u);
  EXPECT_EQ(join.inputs[0].from,
            (std::vector<source>{
                {index("upscale[0]"), "video"}, {index("upscale[1]"), "video"}, {index("upscale[2]"), "video"}}));
  EXPECT_EQ(named(*made, "mix").dependencies.size(), 2u);
  EXPECT_EQ(made->min_tier, catalog::tier::creator);
  EXPECT_EQ(made->demand.width, 848);
  EXPECT_EQ(made->demand.height, 480);
  EXPECT_EQ(made->demand.frames, 48);
}

TEST(ShortFilm, ItsPriceIsKnownBeforeItStarts) {
  auto made = planned(shipped("short-film"), film_inputs(3));
  ASSERT_TRUE(made);
  // 10 + 48 × 0.20 + 4 × 0.50 = 21.6 → 22 a shot; 2 an enlargement; 2 × 3 clips; 11 words → 4.4 s → 1; 5; 3; 3.
  EXPECT_EQ(named(*made, "generate[0]").price, credits(22));
  EXPECT_EQ(named(*made, "upscale[2]").price, credits(2));
  EXPECT_EQ(named(*made, "join").estimate_ms, 3'000u);
  EXPECT_EQ(named(*made, "join").price, credits(6));
  EXPECT_EQ(named(*made, "narrate").price, credits(1));
  EXPECT_EQ(named(*made, "transcribe").price, credits(5));
  EXPECT_EQ(made->price(), credits(3 * 22 + 3 * 2 + 6 + 1 + 5 + 3 + 3));
}

TEST(ShortFilm, BadInputsNameTheFieldInsideTheList) {
  auto workflow = shipped("short-film");
  auto refusal = [&](const json& given) {
    auto checked = validate_inputs(*workflow, given);
    return checked ? "" : checked.error().message;
  };
  auto given = film_inputs(2);
  given["shots"][1]["prompt"] = "";
  EXPECT_EQ(refusal(given), "shots[1].prompt must not be empty");
  given["shots"][1] = {{"prompt", "a"}, {"duration_s", 1e308}};
  EXPECT_EQ(refusal(given), "shots[1].duration_s must be at most 8");
  EXPECT_EQ(refusal(film_inputs(13)), "shots must have at most 12 items, it has 13");
  EXPECT_EQ(refusal(film_inputs(0)), "shots must not be empty");
  given = film_inputs(1);
  given.erase("narration");
  EXPECT_EQ(refusal(given), "narration is required");
  EXPECT_EQ(refusal(json::array()), "inputs must be an object");
  EXPECT_EQ(refusal(nullptr), "narration is required");
  given = film_inputs(1);
  given["voice"] = "robot";
  EXPECT_EQ(refusal(given), "voice must be one of en_gb_male, en_gb_female, en_us_male, en_us_female");
}

TEST(ShortFilm, ItsLargestFilmFitsThePlan) {
  auto given = film_inputs(12);
  given["narration"] = std::string(2'000, 'x');
  EXPECT_EQ(planned(shipped("short-film"), given)->stages.size(), 12u + 12u + 5u);
}

TEST(BenchChain, IsFourStagesInARowThatCostACreditEach) {
  auto made = planned(shipped("bench-chain"), {{"ms", 5}});
  ASSERT_EQ(made->stages.size(), 4u);
  EXPECT_EQ(made->price(), credits(4));
  for (std::uint32_t i = 1; i < 4; ++i)
    EXPECT_EQ(made->stages[i].dependencies, std::vector<std::uint32_t>{i - 1});
  EXPECT_EQ(made->stages[3].params["ms"], 5);
}

TEST(ShippedDefinitions, DescribeThemselvesForUsers) {
  auto film = describe(*shipped("short-film"));
  EXPECT_EQ(film["inputs"]["properties"]["shots"]["items"]["properties"]["prompt"]["maxLength"], 2000);
  EXPECT_EQ(film["inputs"]["required"], (json{"narration", "shots"}));
  EXPECT_EQ(film["stages"][0]["for_each"], "inputs.shots");
  EXPECT_EQ(film["min_tier"], "creator");
  EXPECT_EQ(film["results"][0]["name"], "narration");
}

} // namespace
} // namespace troupe::workflow
