#include "world.hpp"

namespace troupe::workflow {
namespace {

using namespace workflow::testing;

/// Every workflow that the program comes with, with inputs to run it on.
struct workflow_case {
  std::string name;
  json inputs;

  friend void PrintTo(const workflow_case& one, std::ostream* out) { *out << one.name; }
};

class EveryWorkflow : public ::testing::TestWithParam<workflow_case> {
protected:
  plan_ptr plan_ = planned(shipped(GetParam().name), GetParam().inputs);
};

INSTANTIATE_TEST_SUITE_P(Shipped, EveryWorkflow,
                         ::testing::Values(workflow_case{"text-to-video", {{"prompt", "a sunrise"}}},
                                           workflow_case{"short-film", film_inputs(3)},
                                           workflow_case{"bench-chain", json::object()}),
                         [](const auto& one) {
                           auto name = one.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(EveryWorkflow, EndsWithAllItsResultsAndAllOfItsPriceCharged) {
  World world(plan_);
  EXPECT_EQ(world.play(), phase::succeeded);
  EXPECT_EQ(world.job.results().size(), plan_->results.size());
  EXPECT_EQ(world.captured, plan_->price());
  EXPECT_EQ(world.held, 0);
}

/// Goal: whichever stage fails for good, nothing stays held, and only what was finished is paid.
/// Method: run once per stage with a failure injected at that stage.
TEST_P(EveryWorkflow, HoldsNothingAfterAFailureAtEveryStage) {
  for (const auto& broken : plan_->stages) {
    SCOPED_TRACE(broken.name);
    World world(plan_);
    world.fail_at = broken.index;
    EXPECT_EQ(world.play(), phase::failed);
    EXPECT_EQ(world.held, 0);
    EXPECT_EQ(world.captured + world.released, plan_->price());
    EXPECT_EQ(world.attempts[broken.index], broken.retry.attempts);
    for (const auto& stage : plan_->stages)
      EXPECT_EQ(world.job.at(stage.index).state == stage_state::succeeded, world.captures[stage.index] == 1);
    EXPECT_TRUE(world.job.failure().starts_with(broken.name + ": "));
  }
}

TEST_P(EveryWorkflow, CompletesAndChargesOnceWhenEveryEventArrivesTwice) {
  World world(plan_);
  world.deliver_twice = true;
  EXPECT_EQ(world.play(), phase::succeeded);
  EXPECT_EQ(world.captured, plan_->price());
}

TEST_P(EveryWorkflow, CompletesWhenNoStartIsEverTold) {
  World world(plan_);
  world.tell_starts = false;
  world.deliver_twice = true;
  EXPECT_EQ(world.play(), phase::succeeded);
  EXPECT_EQ(world.captured, plan_->price());
}

/// Goal: a crash between any two events changes nothing, whether the journal or a snapshot is read.
/// Method: note where the live run stood after each event, then replay every prefix of its journal, as JSON, into a
/// fresh run, and read back every snapshot; all with the middle stage failing, so that both ways are covered.
TEST_P(EveryWorkflow, ReplaysToTheSamePlaceFromEveryPrefix) {
  for (bool failing : {false, true}) {
    World world(plan_);
    if (failing)
      world.fail_at = static_cast<std::uint32_t>(plan_->stages.size() / 2);
    world.play();
    auto plan = std::make_shared<const workflow::plan>(plan_from_json(to_json(*plan_)).value());
    for (std::size_t cut = 0; cut <= world.journal.size(); ++cut) {
      run replayed(plan);
      for (std::size_t i = 0; i < cut; ++i)
        replayed.apply(event_from_json(to_json(world.journal[i])).value());
      if (cut == 0)
        continue;
      EXPECT_EQ(replayed.to_json(), world.stood_at[cut - 1]);
      auto snapshot = run::from_json(plan, from_msgpack(to_msgpack(world.stood_at[cut - 1])).value());
      ASSERT_TRUE(snapshot) << snapshot.error().message;
      EXPECT_TRUE(*snapshot == replayed);
    }
  }
}

/// Goal: cancelling at any moment leaves nothing held.
/// Method: cancel once after each number of events of the whole run.
TEST_P(EveryWorkflow, HoldsNothingAfterACancelAtEveryMoment) {
  World whole(plan_);
  whole.play();
  for (std::size_t cut = 0; cut < whole.journal.size(); ++cut) {
    World world(plan_);
    for (std::size_t i = 0; i < cut; ++i)
      world.feed(whole.journal[i]);
    world.feed(cancel_asked{});
    EXPECT_EQ(world.job.now(), phase::cancelled);
    EXPECT_EQ(world.held, 0);
    for (std::size_t i = cut; i < whole.journal.size(); ++i)
      EXPECT_EQ(world.job.apply(whole.journal[i]), effects{});
  }
}

} // namespace
} // namespace troupe::workflow
