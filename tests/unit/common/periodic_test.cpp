#include "common/periodic.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace troupe {
namespace {

using namespace std::chrono_literals;

TEST(a_periodic_thread, takes_turn_after_turn) {
  std::atomic<int> turns{0};
  std::promise<void> third;
  periodic thread(0ms, 1ms, [&](const std::stop_token&) {
    if (++turns == 3)
      third.set_value();
  });
  EXPECT_EQ(third.get_future().wait_for(30s), std::future_status::ready);
}

TEST(a_periodic_thread, ends_at_once_while_it_pauses_without_a_turn) {
  std::atomic<int> turns{0};
  auto began = std::chrono::steady_clock::now();
  {
    periodic thread(1h, 1h, [&](const std::stop_token&) { ++turns; });
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 30s);
  EXPECT_EQ(turns, 0);
}

TEST(a_periodic_thread, tells_the_turn_it_is_in_to_stop) {
  std::promise<void> in_turn;
  std::atomic<bool> told{false};
  {
    periodic thread(0ms, 1h, [&](const std::stop_token& stop) {
      in_turn.set_value();
      while (!stop.stop_requested())
        std::this_thread::yield();
      told = true;
    });
    in_turn.get_future().wait();
  }
  EXPECT_TRUE(told);
}

} // namespace
} // namespace troupe
