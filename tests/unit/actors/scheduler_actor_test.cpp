#include "actors/device/device_messages.hpp"
#include "actors/job/job_messages.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "tests/support/deterministic_system.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing::deterministic_system;

struct SchedulerActor : ::testing::Test {
  actor_board board;
  deterministic_system cluster;
  address_book_ptr others = std::make_shared<address_book>();
  caf::actor scheduler;
  std::vector<std::pair<place_stage, caf::typed_response_promise<description>>>
      asked; // of jobs, which do not answer by themselves
  std::vector<std::string> resumed;
  std::vector<stop_stage> stopped;

  void SetUp() override {
    auto jobs = [this](caf::event_based_actor* self) -> caf::behavior {
      return {[this, self](route& r) -> caf::result<description> {
                if (r.content.match_elements<resume_job>()) {
                  resumed.push_back(r.content.get_as<resume_job>(0).job);
                  return description{};
                }
                auto promise = self->make_response_promise<description>();
                asked.emplace_back(r.content.get_as<place_stage>(0), promise);
                return promise;
              },
              [this](scheduler_tick& m) { asked[static_cast<std::size_t>(m.at)].second.deliver(description{}); }};
    };
    auto devices = [this]() -> caf::behavior { return {[this](stop_stage& m) { stopped.push_back(m); }}; };
    others->directory = cluster.system.spawn(jobs);
    others->cluster = cluster.system.spawn(devices);
    scheduler = cluster.system.spawn<scheduler_actor>(std::ref(board), others, scheduling::limits{}, 1u);
    scheduling::device_up device;
    device.device = device_id{"n/gpu0"};
    device.node = node_id{"n"};
    device.type = "cuda";
    device.kinds = {"null.work"};
    device.slots = 1;
    tell(device_joined{device});
  }
  void TearDown() override {
    asked.clear();
    for (auto* who : {&scheduler, &others->directory, &others->cluster}) {
      caf::anon_send_exit(*who, caf::exit_reason::user_shutdown);
      *who = nullptr;
    }
    cluster.scheduler.run();
  }
  template <class Message>
  void tell(Message m) {
    caf::anon_send(scheduler, std::move(m));
    cluster.scheduler.run();
  }
  void queue(const std::string& job) {
    scheduling::stage_request stage;
    stage.ref = {job_id{job}, 0};
    stage.account = account_id{"a"};
    stage.kind = "null.work";
    tell(queue_stages{{stage}});
  }
  void take(std::size_t which) {
    caf::anon_send(others->directory, scheduler_tick{static_cast<timestamp>(which)}); // a job can only answer itself
    cluster.scheduler.run();
  }
  void ticks(int count) {
    for (int i = 0; i < count; ++i)
      tell(scheduler_tick{});
  }
};

TEST_F(SchedulerActor, GivesTheSlotOfAPlacementToAnotherThatIsNotAnsweredForAMinute) {
  queue("hangs");
  queue("waits");
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].first.job, "hangs");
  ticks(119);
  EXPECT_EQ(asked.size(), 1u);
  ticks(1);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].first.job, "waits");
  cluster.scheduler.trigger_timeouts();
  cluster.scheduler.run();
  EXPECT_EQ(resumed, std::vector<std::string>{"hangs"}) << "it is asked what it wants now";
  EXPECT_TRUE(stopped.empty());
}

TEST_F(SchedulerActor, StopsWhatIsTakenAfterItsSlotWasGivenAway) {
  queue("slow");
  queue("waits");
  ticks(120);
  ASSERT_EQ(asked.size(), 2u);
  take(0);
  ASSERT_EQ(stopped.size(), 1u);
  EXPECT_EQ(stopped[0].job, "slow");
  EXPECT_EQ(stopped[0].attempt, asked[0].first.attempt);
  take(1);
  ticks(240);
  EXPECT_EQ(stopped.size(), 1u) << "what is taken in time runs";
  EXPECT_EQ(asked.size(), 2u);
}

} // namespace
} // namespace troupe
