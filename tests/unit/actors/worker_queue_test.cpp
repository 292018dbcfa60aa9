#include "actors/base/worker_queue.hpp"

#include "actors/messages.hpp"
#include "tests/support/database.hpp"

#include <caf/all.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>

namespace troupe {
namespace {

using std::chrono::seconds;
using storage::testing::eventually;

struct WorkerQueue : ::testing::Test {
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;

  void start(unsigned workers) {
    static const bool registered = (register_messages(), true);
    ASSERT_TRUE(registered);
    use_worker_queue(config);
    config.set("caf.scheduler.max-threads", workers);
    system = std::make_unique<caf::actor_system>(config);
  }

  /// Two that wait for each other, each in its handler.
  std::atomic<int> came{0}, met{0};
  caf::actor one_of_two() {
    return system->spawn([this]() -> caf::behavior {
      return {[this](int) {
        ++came;
        met += eventually([this] { return came == 2; }) ? 1 : 0;
      }};
    });
  }

  /// Whether so many workers sleep.
  static bool sleep(int workers) {
    int count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string stat;
      std::getline(std::ifstream(task.path() / "stat"), stat); // number (name) state …
      count += stat.find("(caf.worker) S") != std::string::npos ? 1 : 0;
    }
    return count == workers;
  }
};

TEST_F(WorkerQueue, AChainOfMessagesIsCarriedToItsEnd) {
  start(2);
  constexpr int length = 100'000;
  std::promise<void> over;
  auto player = [&over](caf::event_based_actor* self) -> caf::behavior {
    return {[self, &over](int left, const caf::actor& other) {
      if (left == 0)
        over.set_value();
      else
        caf::anon_send(other, left - 1, caf::actor_cast<caf::actor>(self));
    }};
  };
  auto one = system->spawn(player), other = system->spawn(player);
  caf::anon_send(one, length, other);
  EXPECT_EQ(over.get_future().wait_for(seconds(60)), std::future_status::ready);
}

TEST_F(WorkerQueue, WhatOneActorMakesReadyRunsSideBySide) {
  start(2);
  auto a = one_of_two(), b = one_of_two();
  auto sender = system->spawn([a, b]() -> caf::behavior {
    return {[a, b](int) {
      caf::anon_send(a, 1);
      caf::anon_send(b, 1);
    }};
  });
  ASSERT_TRUE(eventually([] { return sleep(2); }));
  caf::anon_send(sender, 1);
  a = b = sender = nullptr;
  system->await_all_actors_done();
  EXPECT_EQ(met, 2);
}

TEST_F(WorkerQueue, WhatComesFromOutsideWakesARestingWorkerBesideABusyOne) {
  start(2);
  auto a = one_of_two(), b = one_of_two();
  caf::anon_send(a, 1);
  ASSERT_TRUE(eventually([this] { return came == 1 && sleep(2); })); // one in its handler
  caf::anon_send(b, 1);
  a = b = nullptr;
  system->await_all_actors_done();
  EXPECT_EQ(met, 2);
}

/// Goal: nothing is forgotten however threads and actors send at the same time. Method: four threads and forty actors
/// pass on a hundred thousand messages; all arrive.
TEST_F(WorkerQueue, NothingIsForgotten) {
  start(3);
  constexpr int threads = 4, actors = 40, each = 500, hops = 50;
  std::atomic<int> arrived{0};
  std::vector<caf::actor> all;
  for (int i = 0; i < actors; ++i)
    all.push_back(system->spawn([&all, &arrived, i]() -> caf::behavior {
      return {[&all, &arrived, i](int left) {
        if (left == 0)
          ++arrived;
        else
          caf::anon_send(all[static_cast<std::size_t>(i * 7 + left) % all.size()], left - 1);
      }};
    }));
  std::vector<std::jthread> senders;
  for (int t = 0; t < threads; ++t)
    senders.emplace_back([&, t] {
      for (int i = 0; i < each; ++i)
        caf::anon_send(all[static_cast<std::size_t>(t * each + i) % all.size()], hops);
    });
  senders.clear();
  EXPECT_TRUE(eventually([&] { return arrived == threads * each; }, seconds(60))) << arrived;
  all.clear();
}

} // namespace
} // namespace troupe
