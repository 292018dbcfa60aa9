#include "actors/base/worker_queue.hpp"

#include "actors/messages.hpp"

#include <caf/all.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <thread>

namespace troupe {
namespace {

using std::chrono::seconds;

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

  /// Waits, in its handler, until `others` more do so; tells whether they came.
  caf::actor meeting(std::latch& all, std::atomic<int>& met) {
    return system->spawn([&all, &met]() -> caf::behavior {
      return {[&all, &met](int) {
        all.count_down();
        for (int i = 0; i < 2000 && !all.try_wait(); ++i)
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
        met += all.try_wait() ? 1 : 0;
      }};
    });
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
  std::latch all(2);
  std::atomic<int> met{0};
  auto a = meeting(all, met), b = meeting(all, met);
  auto sender = system->spawn([a, b]() -> caf::behavior {
    return {[a, b](int) {
      caf::anon_send(a, 1);
      caf::anon_send(b, 1);
    }};
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100)); // both workers rest
  caf::anon_send(sender, 1);
  a = b = sender = nullptr;
  system->await_all_actors_done();
  EXPECT_EQ(met, 2);
}

TEST_F(WorkerQueue, WhatComesFromOutsideWakesARestingWorkerBesideABusyOne) {
  start(2);
  std::latch all(2);
  std::atomic<int> met{0};
  auto a = meeting(all, met), b = meeting(all, met);
  caf::anon_send(a, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100)); // a is in its handler, the other worker rests
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
  for (int i = 0; i < 6000 && arrived < threads * each; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(arrived, threads * each);
  all.clear();
}

} // namespace
} // namespace troupe
