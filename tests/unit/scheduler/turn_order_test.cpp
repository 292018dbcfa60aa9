#include "actors/scheduler/turn_order.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace troupe::scheduling {
namespace {

// A turn order beside a map that says what is in it.
class both {
public:
  explicit both(unsigned seed) : random_(seed) {}

  void random_call() {
    auto line = static_cast<index>(random_() % lines);
    auto known = model_.find(line);
    if (known == model_.end()) {
      model_[line] = any_turn(line);
      tested_.insert(model_[line]);
    } else if (random_() % 20 == 0) {
      tested_.erase_if([&](const turn& t) { return t.line == line; });
      model_.erase(known);
    }
    tested_.check_invariants();
    ASSERT_EQ(tested_.size(), model_.size());
  }

  // Takes the first away, as often as asked; a key may have risen to `risen` by then.
  void take(int count, virtual_time risen) {
    auto now = [&](const turn& t) { return t.line % 3 == 0 ? std::max(t.key, risen) : t.key; };
    for (; count > 0 && tested_.open(now); --count) {
      auto first = tested_.first();
      EXPECT_TRUE(tested_.leads(first.ticket));
      tested_.pop();
      if (now(first) > first.key) {
        first.key = now(first);
        tested_.insert(first);
        continue;
      }
      for (const auto& [line, t] : model_)
        ASSERT_FALSE((turn{now(t), 0, t.ticket, line, line}.before(first))) << line << " before " << first.line;
      model_.erase(first.line);
      tested_.check_invariants();
    }
    for (auto& [line, t] : model_) // what open() passed has risen, what it did not will have to
      t.key = now(t);
  }

  // So many in front of all others that what lies behind has to be arranged anew.
  void insert_many_in_front(index count) {
    for (index line = lines; line < lines + count; ++line) {
      model_[line] = {-2'000'000'000'000 + static_cast<virtual_time>(random_() % 5), 0, ++ticket_, line, line};
      tested_.insert(model_[line]);
    }
    tested_.check_invariants();
  }

  std::size_t size() const { return tested_.size(); }

private:
  static constexpr index lines = 600;

  turn any_turn(index line) {
    auto reach = virtual_time{1} << random_() % 40; // near and far, below zero, and often equal
    return {static_cast<virtual_time>(random_()) % reach - reach / 4, 0, ++ticket_, line, line};
  }

  std::mt19937_64 random_;
  ticket_number ticket_ = 0;
  turn_order tested_;
  std::map<index, turn> model_;
};

class turn_order_at_random : public testing::TestWithParam<unsigned> {};

// Goal: whatever is put in and taken out, and whichever keys rise meanwhile, the first is the first.
TEST_P(turn_order_at_random, gives_the_lowest_key_and_of_equal_ones_the_earliest) {
  both tried(GetParam());
  virtual_time risen = -1'000'000;
  for (int round = 0; round < 20 && !HasFatalFailure(); ++round) {
    for (int i = 0; i < 150 && !HasFatalFailure(); ++i)
      tried.random_call();
    tried.take(60, risen += 100'000);
    if (round % 8 == 5) {
      tried.insert_many_in_front(1'000);
      tried.take(1'200, risen);
    }
  }
  tried.take(1'000'000, risen);
  EXPECT_EQ(tried.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(seeds, turn_order_at_random, testing::Range(0u, 20u));

} // namespace
} // namespace troupe::scheduling
