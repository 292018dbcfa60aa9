#pragma once

#include "builders.hpp"

#include <map>
#include <optional>
#include <set>

namespace troupe::workflow::testing {

/// Plays the scheduler, the nodes and the ledger for one run: starts what is ready, finishes or fails it, and keeps the
/// money as it is told to.
struct World {
  explicit World(plan_ptr plan) : job(plan) {
    for (const auto& stage : plan->stages)
      held += stage.price;
  }

  std::optional<std::uint32_t> fail_at; // this instance fails for good
  bool deliver_twice = false;
  bool tell_starts = true;

  run job;
  micro_credits held = 0, captured = 0, released = 0;
  std::vector<event> journal;
  std::vector<json> stood_at; // after each event
  std::map<std::uint32_t, std::uint64_t> attempts;
  std::map<std::uint32_t, int> captures;
  std::int64_t now = 0;

  phase play() {
    feed(started{});
    while (!job.ended()) {
      auto next = job.ready(now);
      if (next.empty()) {
        auto due = job.next_due();
        if (!due) {
          ADD_FAILURE() << "stuck: nothing is ready and nothing will be";
          return job.now();
        }
        now = *due;
        continue;
      }
      work(next.front());
    }
    return job.now();
  }

  void work(std::uint32_t index) {
    auto attempt = ++attempts[index];
    if (tell_starts)
      feed(stage_started{index, attempt});
    if (fail_at == index)
      feed(stage_failed{index, attempt, fault::unknown, "injected", now});
    else
      feed(stage_succeeded{index, attempt, outputs_of(job.plan().stages[index])});
  }

  void feed(const event& e) {
    journal.push_back(e);
    settle(job.apply(e));
    stood_at.push_back(job.to_json());
    if (!deliver_twice)
      return;
    auto again = job.apply(e);
    EXPECT_EQ(again, effects{}) << "a repeated event must ask for nothing: " << to_json(e);
  }

  void settle(const effects& out) {
    job.check_invariants();
    for (auto i : out.capture) {
      EXPECT_EQ(++captures[i], 1) << "stage " << i << " was charged twice";
      captured += job.plan().stages[i].price;
      held -= job.plan().stages[i].price;
    }
    for (auto i : out.release) {
      EXPECT_EQ(captures[i], 0) << "stage " << i << " was charged and given back";
      released += job.plan().stages[i].price;
      held -= job.plan().stages[i].price;
    }
    EXPECT_GE(held, 0);
  }
};

} // namespace troupe::workflow::testing
