#include "builders.hpp"

#include <set>

namespace troupe::workflow {
namespace {

using namespace workflow::testing;

json list_workflow() {
  auto stage = null_stage("work");
  stage["for_each"] = "inputs.items";
  stage["params"] = {{"ms", "$item"}, {"bytes", 1}, {"seed", "$index"}};
  auto document = null_workflow({stage, null_stage("gather", {"work"})}, "gather");
  document["inputs"] = {
      {"items", {{"type", "list"}, {"max_length", 500}, {"default", json::array()}, {"items", {{"type", "integer"}}}}}};
  return document;
}

failure refusal(const definition_ptr& workflow, const json& inputs) {
  auto checked = validate_inputs(*workflow, inputs);
  EXPECT_TRUE(checked);
  auto made = expand(*workflow, *checked, {});
  return made ? failure{} : made.error();
}

TEST(Expand, RepeatsAStageForEachItemAndGathersAll) {
  auto made = planned(accepted(list_workflow()), {{"items", {10, 20, 30}}});
  ASSERT_EQ(made->stages.size(), 4u);
  EXPECT_EQ(made->stages[1].name, "work[1]");
  EXPECT_EQ(made->stages[1].params["ms"], 20);
  EXPECT_EQ(made->stages[1].params["seed"], 1);
  EXPECT_EQ(made->stages[3].name, "gather");
  EXPECT_EQ(made->stages[3].dependencies, (std::vector<std::uint32_t>{0, 1, 2}));
}

TEST(Expand, AnEmptyListLeavesNothingToRepeatButTheRest) {
  auto made = planned(accepted(list_workflow()), {{"items", json::array()}});
  ASSERT_EQ(made->stages.size(), 1u);
  EXPECT_TRUE(made->stages[0].dependencies.empty());
}

TEST(Expand, RefusesMoreThan500Stages) {
  json items = json::array();
  for (int i = 0; i < 500; ++i)
    items.push_back(1);
  EXPECT_EQ(refusal(accepted(list_workflow()), {{"items", items}}).code, "too_many_stages");
}

TEST(Expand, AParameterOutOfRangeNamesTheInstance) {
  auto why = refusal(accepted(list_workflow()), {{"items", {1, 600'001}}});
  EXPECT_EQ(why.code, "invalid_input");
  EXPECT_EQ(why.message, "work[1].ms must be at most 600000");
}

TEST(Expand, AnEstimateIsWorkedOutForEachInstance) {
  auto document = list_workflow();
  document["stages"][0]["estimate_s"] = {{"$value", {"$params.ms", "/", 1000}}};
  document["stages"][0]["timeout_s"] = 60;
  auto made = planned(accepted(document), {{"items", {2'500, 0, 600'000}}});
  ASSERT_EQ(made->stages.size(), 4u);
  EXPECT_EQ(made->stages[0].estimate_ms, 2'500u);
  EXPECT_EQ(made->stages[1].estimate_ms, 1u) << "nothing takes no time";
  EXPECT_EQ(made->stages[2].estimate_ms, 60'000u) << "it would be stopped then";
  EXPECT_EQ(made->stages[3].estimate_ms, 1'000u) << "who says nothing";
  EXPECT_EQ(plan_from_json(to_json(*made))->stages, made->stages);
  auto old = to_json(*made);
  old["stages"][0].erase("estimate_ms");
  EXPECT_EQ(plan_from_json(old)->stages[0].estimate_ms, 1'000u) << "a plan from before there were estimates";
}

TEST(Expand, AnEstimateThatIsNoNumberRefusesTheRunByName) {
  auto document = list_workflow();
  document["stages"][0]["estimate_s"] = {{"$value", {1, "/", "$params.ms"}}};
  auto why = refusal(accepted(document), {{"items", {1, 0}}});
  EXPECT_EQ(why.code, "invalid_input");
  EXPECT_EQ(why.message.substr(0, 18), "work[1].estimate_s");
}

TEST(Expand, AListPortHasALimit) {
  auto document = parse_json(file_text(source_dir / "workflows/definitions/short-film.json")).value();
  document["inputs"]["shots"]["max_length"] = 30;
  EXPECT_EQ(refusal(accepted(document), film_inputs(21)).message, "join.inputs.videos takes 1 to 20 files, not 21");
}

TEST(Expand, ResultsOfARepeatedStageAreNumbered) {
  auto document = list_workflow();
  document["result"]["each"] = {{"from", "work.data"}, {"filename", "img_{job}_{nnn}.bin"}};
  auto made = planned(accepted(document), {{"items", {1, 2}}});
  ASSERT_EQ(made->results.size(), 3u);
  EXPECT_EQ(made->results[1].name, "each[0]");
  EXPECT_EQ(filename_of(made->results[1], "j"), "img_j_001.bin");
  EXPECT_EQ(filename_of(made->results[2], "j"), "img_j_002.bin");
}

TEST(Expand, AnOpenSeedBecomesADefiniteOneThatTheRunDecides) {
  auto workflow = shipped("short-film");
  auto inputs = validate_inputs(*workflow, film_inputs(3)).value();
  auto seeds = [&](std::int64_t run_seed) {
    std::vector<std::int64_t> out;
    auto made = expand(*workflow, inputs, {"", run_seed}).value();
    for (int i = 0; i < 3; ++i)
      out.push_back(made.stages[static_cast<std::size_t>(i)].params["seed"]);
    return out;
  };
  auto first = seeds(7);
  EXPECT_EQ(first, seeds(7));
  EXPECT_NE(first, seeds(8));
  EXPECT_EQ(std::set<std::int64_t>(first.begin(), first.end()).size(), 3u) << "shots must differ";
  for (auto seed : first) {
    EXPECT_GE(seed, 0);
    EXPECT_LE(seed, 2147483647);
  }
}

TEST(Expand, AGivenSeedIsKept) {
  auto given = film_inputs(1);
  given["shots"][0]["seed"] = 42;
  EXPECT_EQ(planned(shipped("short-film"), given)->stages[0].params["seed"], 42);
}

TEST(Expand, AComputationWithoutAResultNamesTheInstance) {
  auto document = list_workflow();
  document["stages"][0]["params"]["ms"] = {{"$round", {1, "/", "$item"}}};
  EXPECT_EQ(refusal(accepted(document), {{"items", {1, 0}}}).message, "work[1].ms is a division by zero");
}

TEST(Expand, SizesGrowThroughEnlargements) {
  auto given = film_inputs(1);
  given["upscale"] = 4;
  auto made = planned(shipped("short-film"), given);
  EXPECT_EQ(made->demand.width, 424 * 4);
  EXPECT_EQ(made->demand.height, 240 * 4);
}

TEST(Plan, ReadsBackWhatItWrote) {
  auto made = planned(shipped("short-film"), film_inputs(3));
  auto back = plan_from_json(to_json(*made));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->stages, made->stages);
  EXPECT_EQ(back->results, made->results);
  EXPECT_EQ(back->hash, made->hash);
  EXPECT_EQ(back->min_tier, made->min_tier);
  EXPECT_EQ(to_json(*back), to_json(*made));
}

TEST(Plan, ADamagedRecordIsRefused) {
  auto good = to_json(*planned(shipped("short-film"), film_inputs(1)));
  auto flat = good.flatten();
  for (const auto& [path, ignored] : flat.items())
    for (const json& odd : {json(nullptr), json(-1), json(4'000'000'000)}) {
      auto bad = good;
      bad[json::json_pointer(path)] = odd;
      auto back = plan_from_json(bad);
      if (!back)
        continue;
      for (std::size_t i = 0; i < back->stages.size(); ++i)
        for (auto needed : back->stages[i].dependencies)
          ASSERT_LT(needed, i) << path;
    }
  EXPECT_FALSE(plan_from_json(json::array()));
}

} // namespace
} // namespace troupe::workflow
