#include "gpu/engines/null/null_engine.hpp"
#include "tests/unit/gpu/engines/stage.hpp"

using namespace troupe;
using namespace troupe::engines;
using namespace troupe::engines::test;
using namespace std::chrono_literals;

namespace {

struct null_work : testing::Test {
  stage_outcome run(json params) {
    recording_context context;
    return engine->run({"null.work", std::move(params), {}, folder.fresh(), 1}, context);
  }

  scratch folder;
  engine_ptr engine = make_null_engine();
};

} // namespace

TEST_F(null_work, ends_at_once_and_makes_nothing_by_default) {
  auto outcome = run(json::object());
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->files.empty());
  EXPECT_EQ(outcome->engine, "null/1");
}

TEST_F(null_work, makes_the_same_bytes_for_the_same_seed_and_others_for_another) {
  const auto bytes = [this](int seed) { return bytes_of(run({{"bytes", 1001}, {"seed", seed}})->files.at(0).path); };
  const auto first = bytes(7);
  EXPECT_EQ(first.size(), 1001U);
  EXPECT_EQ(first, bytes(7));
  EXPECT_NE(first, bytes(8));
}

TEST_F(null_work, fails_as_asked_until_its_attempts_are_used_up) {
  const json params = {{"fail", "device"}, {"fail_attempts", 2}};
  for (int attempt = 1; attempt <= 3; ++attempt) {
    auto now = params;
    now["attempt"] = attempt;
    auto outcome = run(now);
    ASSERT_EQ(outcome.has_value(), attempt == 3) << attempt;
    if (!outcome) {
      EXPECT_EQ(outcome.error().kind, fault::device);
    }
  }
  EXPECT_EQ(run({{"fail", "out_of_memory"}}).error().kind, fault::out_of_memory);
}

TEST_F(null_work, refuses_parameters_of_the_wrong_type_or_size) {
  for (const json& params : {json{{"ms", -1}}, json{{"ms", 1e308}}, json{{"bytes", 20'000'000}}, json{{"ms", "5"}},
                             json{{"fail", "often"}}, json{{"seed", 1.5}}}) {
    auto outcome = run(params);
    ASSERT_FALSE(outcome) << params;
    EXPECT_EQ(outcome.error().kind, fault::bad_input) << params;
  }
}

TEST_F(null_work, waits_as_long_as_asked_and_a_cancel_ends_the_wait_at_once) {
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(run({{"ms", 60}}));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 60ms);
  stage_outcome outcome = stage_failure();
  EXPECT_LT(time_to_cancel(*engine, {"null.work", {{"ms", 60'000}}, {}, folder.fresh(), 1}, 30ms, outcome), 500);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, fault::cancelled);
}
