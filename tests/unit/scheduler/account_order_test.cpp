#include "actors/scheduler/account_order.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace troupe::scheduling {
namespace {

using entry = account_order::entry;

// An order of accounts beside a map that says what is in it.
class both {
public:
  explicit both(unsigned seed) : random_(seed) {}

  void put_in() {
    auto reach = virtual_time{1} << random_() % 40; // near and far, below zero, and often equal
    entry e{static_cast<virtual_time>(random_()) % reach - reach / 4, ++ticket_, std::uint64_t{1} << random_() % 64, 7};
    e.work |= std::uint64_t{1} << random_() % 64;
    tested_.insert(e);
    model_.emplace(std::pair(e.key, e.ticket), e);
  }
  void take_out() {
    if (model_.empty())
      return;
    auto known = any();
    tested_.erase(tested_.find(known->second.key, known->second.ticket));
    model_.erase(known);
  }
  void change_work() {
    if (model_.empty())
      return;
    auto known = any();
    known->second.work = std::uint64_t{1} << random_() % 64;
    tested_.set_work(tested_.find(known->second.key, known->second.ticket), known->second.work);
  }
  void look() {
    auto work = std::uint64_t{1} << random_() % 64 | std::uint64_t{1} << random_() % 64;
    auto found = tested_.find(work);
    for (const auto& [place, e] : model_) { // all of them, one after the other
      if ((e.work & work) == 0)
        continue;
      ASSERT_TRUE(found);
      ASSERT_EQ(tested_[*found].ticket, e.ticket);
      found = tested_.find(work, {found->block, found->at + 1});
    }
    ASSERT_FALSE(found);
    ASSERT_EQ(tested_.empty(), model_.empty());
    if (!model_.empty()) {
      ASSERT_EQ(tested_.front().ticket, model_.begin()->second.ticket);
    }
    tested_.check_invariants();
  }
  std::size_t size() const { return model_.size(); }

private:
  std::map<std::pair<virtual_time, ticket_number>, entry>::iterator any() {
    return std::next(model_.begin(), static_cast<long>(random_() % model_.size()));
  }

  std::mt19937_64 random_;
  ticket_number ticket_ = 0;
  account_order tested_;
  std::map<std::pair<virtual_time, ticket_number>, entry> model_;
};

class account_order_at_random : public testing::TestWithParam<unsigned> {};

// Goal: whatever is put in, changed and taken out, those with some work are found in order.
TEST_P(account_order_at_random, finds_who_has_some_work_the_lowest_key_first_and_of_equal_ones_the_earliest) {
  both tried(GetParam());
  for (int round = 0; round < 10 && !HasFatalFailure(); ++round) {
    for (int i = 0; i < 150; ++i)
      tried.put_in();
    for (int i = 0; i < 300; ++i)
      round % 3 == 2 ? tried.take_out() : tried.change_work();
    for (int i = 0; i < 20 && !HasFatalFailure(); ++i)
      tried.look();
  }
  while (tried.size() > 0)
    tried.take_out();
  tried.look();
}

INSTANTIATE_TEST_SUITE_P(seeds, account_order_at_random, testing::Range(0u, 20u));

} // namespace
} // namespace troupe::scheduling
