#include "actors/scheduler/turn_order.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace troupe::scheduling {
namespace {

// A turn order beside a map that says what is in it.
class both {
public:
  explicit both(unsigned seed) : random_(seed), places_(entries) {}

  void random_call() {
    auto entry = static_cast<index>(random_() % entries);
    auto known = model_.find(entry);
    if (known == model_.end()) {
      model_[entry] = any_turn(entry);
      tested_.insert(model_[entry], places_);
    } else if (random_() % 3 == 0) {
      tested_.remove(entry, places_);
      model_.erase(known);
    } else {
      known->second = any_turn(entry);
      tested_.replace(known->second, places_);
    }
    tested_.check_invariants(places_);
    ASSERT_EQ(tested_.size(), model_.size());
  }

  // Takes the first away, as often as asked; a key may have risen to `risen` by then.
  void take(int count, virtual_time risen) {
    auto now = [&](const turn& t) { return t.entry % 3 == 0 ? std::max(t.key, risen) : t.key; };
    for (; count > 0 && tested_.open(places_, now); --count) {
      auto first = tested_.first();
      if (now(first) > first.key) {
        first.key = now(first);
        tested_.replace(first, places_);
        continue;
      }
      for (const auto& [entry, t] : model_)
        ASSERT_FALSE((turn{now(t), 0, t.order, entry, entry}.before(first))) << entry << " before " << first.entry;
      tested_.remove(first.entry, places_);
      model_.erase(first.entry);
      tested_.check_invariants(places_);
    }
    for (auto& [entry, t] : model_) // what open() passed has risen, what it did not will have to
      t.key = now(t);
  }

  std::size_t size() const { return tested_.size(); }

private:
  static constexpr index entries = 600;

  turn any_turn(index entry) {
    auto reach = virtual_time{1} << random_() % 40; // near and far, below zero, and often equal
    return {static_cast<virtual_time>(random_()) % reach - reach / 4, 0, ++order_, entry, entry};
  }

  std::mt19937_64 random_;
  std::uint64_t order_ = 0;
  turn_places places_;
  turn_order tested_;
  std::map<index, turn> model_;
};

class turn_order_at_random : public testing::TestWithParam<unsigned> {};

// Goal: whatever is put in, replaced and taken out, and whichever keys rise meanwhile, the first is the first.
TEST_P(turn_order_at_random, gives_the_lowest_key_and_of_equal_ones_the_earliest) {
  both tried(GetParam());
  virtual_time risen = -1'000'000;
  for (int round = 0; round < 20 && !HasFatalFailure(); ++round) {
    for (int i = 0; i < 150 && !HasFatalFailure(); ++i)
      tried.random_call();
    tried.take(60, risen += 100'000);
  }
  tried.take(1'000'000, risen);
  EXPECT_EQ(tried.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(seeds, turn_order_at_random, testing::Range(0u, 20u));

} // namespace
} // namespace troupe::scheduling
