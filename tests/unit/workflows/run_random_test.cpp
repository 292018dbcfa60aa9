#include "world.hpp"

#include <random>

namespace troupe::workflow {
namespace {

using namespace workflow::testing;

/// A random graph of null.work stages, all of which the last one needs.
plan_ptr random_plan(std::mt19937_64& random) {
  auto count = 1 + random() % 12;
  std::vector<json> stages;
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::string> after;
    for (const auto& id : ids)
      if (random() % 3 == 0)
        after.push_back(id);
    ids.push_back("s" + std::to_string(i));
    json retry{{"attempts", 1 + random() % 4}, {"backoff_ms", random() % 3 * 100}};
    stages.push_back(null_stage(ids.back(), after, retry));
  }
  stages.push_back(null_stage("last", ids));
  return null_plan(stages, "last");
}

event random_event(const run& job, std::mt19937_64& random, std::int64_t now) {
  auto index = static_cast<std::uint32_t>(random() % (job.plan().stages.size() + 1));
  const auto known = index < job.plan().stages.size();
  auto newest = known ? job.at(index).attempt : 0;
  // Mostly the present or the next attempt; sometimes a stale one.
  auto attempt = newest + random() % 3;
  attempt = attempt > 0 ? attempt - (random() % 8 == 0 ? 1 : 0) : 0;
  switch (random() % 32) {
    case 0: return started{};
    case 1: return random() % 20 == 0 ? event{cancel_asked{}} : event{started{}};
    case 2:
    case 3: return artifact_lost{index};
    case 4: return rerun{index};
    case 5:
    case 6:
    case 7:
    case 8: return stage_failed{index, attempt, static_cast<fault>(random() % 7), "random", now};
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14: return stage_started{index, attempt};
    default:
      return stage_succeeded{index, attempt, known ? outputs_of(job.plan().stages[index]) : std::vector<artifact>{}};
  }
}

/// Goal: whatever comes in whatever order, the promises hold, money moves once, and the journal replays to the same
/// place. Method: throw random events at random graphs, check everything after each; then let the rest of the work be
/// done properly and see that the run comes to an end.
TEST(RunAtRandom, KeepsItsPromisesAndAlwaysEnds) {
  std::map<phase, int> ends;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto plan = random_plan(random);
    World world(plan);
    auto steps = random() % 80;
    for (std::size_t i = 0; i < steps; ++i) {
      world.now += static_cast<std::int64_t>(random() % 200);
      world.feed(random_event(world.job, random, world.now));
    }
    for (const auto& stage : plan->stages) // what still runs is lost with its node
      if (world.job.at(stage.index).state == stage_state::running)
        world.feed(stage_failed{stage.index, world.job.at(stage.index).attempt, fault::lost_node, "", world.now});
    for (const auto& stage : plan->stages)
      world.attempts[stage.index] = world.job.at(stage.index).attempt;
    ends[world.play()]++;
    EXPECT_TRUE(world.job.ended());
    EXPECT_EQ(world.held, 0);
    EXPECT_EQ(world.captured + world.released, plan->price());
    run replayed(plan);
    for (const auto& e : world.journal)
      replayed.apply(e);
    EXPECT_TRUE(replayed == world.job);
    if (HasFailure())
      return;
  }
  for (auto how : {phase::succeeded, phase::failed, phase::cancelled})
    EXPECT_GT(ends[how], 10) << name_of(how) << ": the test does not reach what it is for";
}

} // namespace
} // namespace troupe::workflow
