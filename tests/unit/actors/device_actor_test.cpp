#include "actors/device/device_actor.hpp"
#include "tests/support/database.hpp"
#include "tests/support/deterministic_system.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing::deterministic_system;

/// A line that keeps what was sent.
struct line final : link::head_link {
  std::vector<wire::to_node> sent;

  bool send(const std::string&, wire::to_node message) override {
    sent.push_back(std::move(message));
    return true;
  }
  void close(const std::string&, const std::string&) override {}
  void handled(const std::string&, std::size_t) override {}
  std::vector<std::string> endpoints() const override { return {}; }
  link::link_counters counters() const override { return {}; }

  template <class Message>
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::count_if(sent.begin(), sent.end(), [](const auto& m) { return std::holds_alternative<Message>(m); }));
  }
};

struct DeviceActor : ::testing::Test {
  actor_board board;
  deterministic_system cluster;
  line to_node;
  address_book_ptr book_of_addresses = std::make_shared<address_book>();
  caf::actor device;
  std::vector<scheduling::stage_ended> ended;                      // told to the scheduler
  std::vector<std::pair<std::uint64_t, std::string>> told_to_jobs; // attempt, fault or "ok"
  int routed_to_jobs = 0;

  void SetUp() override {
    auto jobs = [this]() -> caf::behavior {
      return {[this](route& r) -> caf::result<description> {
        ++routed_to_jobs;
        if (!r.content.match_elements<stage_report>())
          return description{json::object()};
        auto said = r.content.get_as<stage_report>(0);
        if (auto bad = std::get_if<wire::failed>(&said.what))
          told_to_jobs.emplace_back(bad->ref.attempt, bad->fault);
        else if (auto good = std::get_if<wire::finished>(&said.what))
          told_to_jobs.emplace_back(good->ref.attempt, "ok");
        return description{};
      }};
    };
    auto scheduler = [this]() -> caf::behavior { return {[this](attempt_over& m) { ended.push_back(m.what); }}; };
    book_of_addresses->directory = cluster.system.spawn(jobs);
    book_of_addresses->scheduler = cluster.system.spawn(scheduler);
    device = cluster.system.spawn<device_actor>(
        std::ref(board), book_of_addresses, std::ref(to_node), std::string{"n/gpu0"},
        [](const wire::artifact&) { return true; }, [](const std::string& job) { return job == "j"; });
    tell(device_connected{"line1", {}, 7});
  }
  void TearDown() override {
    for (auto* who : {&device, &book_of_addresses->directory, &book_of_addresses->scheduler}) {
      caf::anon_send_exit(*who, caf::exit_reason::user_shutdown);
      *who = nullptr;
    }
    cluster.scheduler.run();
  }
  template <class Message>
  void tell(Message m) {
    caf::anon_send(device, std::move(m));
    cluster.scheduler.run();
  }
  void run(std::uint64_t attempt, std::uint64_t session = 7) {
    wire::assign what;
    what.ref = {"j", 0, attempt};
    what.device = "gpu0";
    tell(run_stage{"n/gpu0", what, session});
  }
};

TEST_F(DeviceActor, GivesAnAttemptToItsNodeOnTheLineThatItWasPlacedFor) {
  run(1, 6);
  EXPECT_TRUE(to_node.sent.empty()) << "the slot was another session's";
  run(1);
  EXPECT_EQ(to_node.count<wire::assign>(), 1u);
}

TEST_F(DeviceActor, BreaksOffWhatRunsAndFreesItsSlotWhenTheNodeSaysThatItEnded) {
  run(1);
  tell(stop_stage{"n/gpu0", "j", 0, 1});
  EXPECT_EQ(to_node.count<wire::cancel>(), 1u);
  EXPECT_TRUE(ended.empty());
  tell(device_report{wire::failed{{"j", 0, 1}, "gpu0", "cancelled", "why", {}, 1}});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].how, scheduling::outcome::cancelled);
}

// A stage that was stopped for another's sake is not one that its node broke off.
TEST_F(DeviceActor, TellsAJobWhetherItWasTheHeadThatHadTheAttemptStopped) {
  auto cancelled = [&](std::uint64_t attempt) {
    tell(device_report{wire::failed{{"j", 0, attempt}, "gpu0", "cancelled", "why", {}, 1}});
    return told_to_jobs.back();
  };
  using told = std::pair<std::uint64_t, std::string>;
  run(1);
  EXPECT_EQ(cancelled(1), (told{1, "cancelled"}));
  run(2);
  tell(stop_stage{"n/gpu0", "j", 0, 2});
  EXPECT_EQ(cancelled(2), (told{2, "stopped"}));
  EXPECT_EQ(ended.back().how, scheduling::outcome::cancelled);
  run(3);
  tell(stop_stage{"n/gpu0", "j", 0, 3});
  tell(device_report{wire::failed{{"j", 0, 3}, "gpu0", "device", "why", {}, 1}});
  EXPECT_EQ(told_to_jobs.back(), (told{3, "device"})) << "it had failed before it heard of that";
}

TEST_F(DeviceActor, WakesNobodyForAJobThatItsNodeMadeUp) {
  tell(device_report{wire::failed{{"made up", 0, 1}, "gpu0", "device", "why", {}, 1}});
  tell(device_report{wire::finished{{"made up", 0, 2}, "gpu0", "null/1", false, 1, {}, 0}});
  EXPECT_EQ(to_node.count<wire::acknowledge>(), 2u) << "the node may forget it";
  EXPECT_EQ(ended.size(), 2u) << "and the scheduler, which may have heard of it in a hello";
  tell(device_connected{"line2", {{"made up", 0, 3}}, 7});
  EXPECT_EQ(to_node.count<wire::cancel>(), 1u);
  ASSERT_EQ(ended.size(), 3u);
  for (const auto& one : ended)
    EXPECT_EQ(one.how, scheduling::outcome::cancelled);
  EXPECT_EQ(routed_to_jobs, 0);
  tell(device_report{wire::failed{{"j", 0, 4}, "gpu0", "device", "why", {}, 1}});
  EXPECT_EQ(routed_to_jobs, 1);
}

TEST_F(DeviceActor, DoesNotBlameADeviceForWhatDoesNotSuitIt) {
  run(1);
  tell(device_report{wire::failed{{"j", 0, 1}, "gpu0", "unsuited", "why", {}, 1}});
  EXPECT_EQ(ended.back().how, scheduling::outcome::unsuited);
  run(2);
  tell(device_report{wire::failed{{"j", 0, 2}, "gpu0", "device", "why", {}, 1}});
  EXPECT_EQ(ended.back().how, scheduling::outcome::device_fault);
}

// A node's word on times counts as far as so much has passed here.
TEST_F(DeviceActor, TellsTheSchedulerHowLongATransferTookAsFarAsThatCanBe) {
  auto end = [&](std::uint64_t attempt, std::uint32_t run_ms, std::int64_t transfer_ms) {
    tell(device_report{wire::finished{{"j", 0, attempt}, "gpu0", "null/1", false, run_ms, {}, transfer_ms}});
    return ended.back();
  };
  run(1);
  auto began = steady_ms();
  ASSERT_TRUE(storage::testing::eventually([&] { return steady_ms() - began >= 30; }));
  auto told = end(1, 10, 15);
  EXPECT_EQ(told.run_ms, 10u);
  EXPECT_EQ(told.transfer_ms, 15);
  run(2);
  began = steady_ms();
  ASSERT_TRUE(storage::testing::eventually([&] { return steady_ms() - began >= 30; }));
  auto lie = end(2, 10, 4'000'000'000);
  EXPECT_GE(lie.transfer_ms, 20);
  EXPECT_LT(lie.transfer_ms, 60'000);
  run(3);
  EXPECT_EQ(end(3, 0, -1).transfer_ms, -1) << "the node does not say";
}

// What is lost is the scheduler's to say, and whether it is taken back is its job's.
TEST_F(DeviceActor, BringsToTheirJobsWhatALostNodeComesBackWith) {
  run(1);
  tell(device_lost{"silent"});
  EXPECT_TRUE(ended.empty());
  tell(device_connected{"line2", {{"j", 0, 1, false}, {"j", 1, 2, true}}, 8, 2});
  EXPECT_EQ(routed_to_jobs, 1) << "whether what runs is wanted";
  EXPECT_EQ(to_node.count<wire::cancel>(), 0u) << "it is";
  tell(device_report{wire::finished{{"j", 1, 2}, "gpu0", "null/1", false, 1, {}, 0}});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].attempt, 2u);
  EXPECT_EQ(ended[0].how, scheduling::outcome::ok);
  EXPECT_EQ(ended[0].hello, 2u);
  EXPECT_EQ(told_to_jobs, (std::vector<std::pair<std::uint64_t, std::string>>{{2, "ok"}}));
  EXPECT_EQ(to_node.count<wire::acknowledge>(), 1u);
}

// The order to start goes by way of the job, the order to stop does not.
TEST_F(DeviceActor, NeverStartsAnAttemptWhoseStopCameFirst) {
  tell(stop_stage{"n/gpu0", "j", 0, 1});
  ASSERT_EQ(ended.size(), 1u) << "its slot is given to another";
  run(1);
  EXPECT_EQ(to_node.count<wire::assign>(), 0u);
  EXPECT_EQ(told_to_jobs, (std::vector<std::pair<std::uint64_t, std::string>>{{1, "stopped"}}))
      << "the job waits for the end of what it was told to start";
  run(2);
  EXPECT_EQ(to_node.count<wire::assign>(), 1u) << "the next attempt is meant";
}

} // namespace
} // namespace troupe
