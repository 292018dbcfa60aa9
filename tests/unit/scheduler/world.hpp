#pragma once

// A small cluster to talk to the scheduler in: time that the test moves, the commands collected, promises checked after
// each event.

#include "actors/scheduler/scheduler_core.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

namespace troupe::scheduling::testing {

struct stage_builder {
  stage_request asked;
  stage_builder(const std::string& job, std::uint32_t stage = 0) {
    asked.ref = {job_id{job}, stage};
    asked.account = account_id{"alice"};
    asked.kind = "null.work";
  }
  stage_builder& of(const std::string& account) { return asked.account.value = account, *this; }
  stage_builder& weighing(std::uint32_t weight) { return asked.weight = weight, *this; }
  stage_builder& kind(const std::string& kind) { return asked.kind = kind, *this; }
  stage_builder& model(const std::string& model) { return asked.model = model, *this; }
  stage_builder& vram(std::uint32_t mib) { return asked.vram_mib = mib, *this; }
  stage_builder& takes(std::uint32_t ms) { return asked.estimate_ms = ms, *this; }
  stage_builder& in(priority_class priority) { return asked.priority = priority, *this; }
  stage_builder& without(const std::string& device) { return asked.excluded.push_back({device}), *this; }
  stage_builder& maybe_twice() { return asked.may_run_twice = true, *this; }
  stage_builder& near(const std::string& node) { return asked.near.push_back({node}), *this; }
};

class world {
public:
  explicit world(limits bounds = {}, std::uint32_t epoch = 1) : core(bounds, epoch) {}

  std::vector<command> tell(const event& happened) {
    auto out = core.apply(happened, now);
    core.check_invariants();
    for (const auto& c : out) {
      if (const auto* s = std::get_if<start>(&c)) {
        (s->second ? seconds : running)[s->ref] = *s;
        ++starts;
      } else if (const auto* m = std::get_if<moved>(&c)) {
        running.erase(m->ref);
      }
    }
    return out;
  }
  std::vector<command> device(const std::string& id, std::uint32_t slots = 1, std::uint32_t vram = 0,
                              std::vector<std::string> kinds = {"null.work"}) {
    return tell(
        device_up{{id}, {id.substr(0, id.find('/'))}, vram > 0 ? "cuda" : "cpu", std::move(kinds), slots, vram});
  }
  std::vector<command> queue(const stage_builder& stage) { return tell(stage_queued{stage.asked}); }
  /// Ends a running stage.
  std::vector<command> end(stage_ref ref, outcome how = outcome::ok, std::uint32_t run_ms = 1000,
                           std::int64_t transfer_ms = -1) {
    auto at = running.at(ref);
    running.erase(ref);
    return tell(stage_ended{ref, at.attempt, at.device, how, run_ms, 0, transfer_ms});
  }
  std::vector<command> end(const std::string& job, outcome how = outcome::ok, std::uint32_t run_ms = 1000,
                           std::int64_t transfer_ms = -1) {
    return end(stage_ref{{job}, 0}, how, run_ms, transfer_ms);
  }
  /// Where the job's first stage runs; "" when it waits.
  std::string place_of(const std::string& job) const {
    auto at = core.running_at({{job}, 0});
    return at ? at->device.value : "";
  }
  /// Virtual milliseconds of work of the kind null.work; -1 when the account is not known.
  std::int64_t charged_to(const std::string& account) const {
    const auto state = core.inspect();
    for (const auto& row : state.at("accounts"))
      if (row.at("account") == account)
        return row.at("virtual_ms").at("null.work");
    return -1;
  }
  std::string why(const std::string& job) const {
    auto reason = core.why_waiting({{job}, 0});
    return reason ? reason->code : "";
  }

  timestamp now = 1'000'000;
  scheduler_core core;
  std::map<stage_ref, start> running;
  std::map<stage_ref, start> seconds; // attempts of stragglers beside the first
  std::size_t starts = 0;
};

template <class T>
std::optional<T> only(const std::vector<command>& commands) {
  std::optional<T> out;
  for (const auto& c : commands)
    if (const auto* found = std::get_if<T>(&c)) {
      EXPECT_FALSE(out.has_value()) << "more than one";
      out = *found;
    }
  return out;
}

/// Of what all accounts got.
inline double share(std::map<std::string, double> got, const std::string& account) {
  double all = 0;
  for (const auto& [name, ms] : got)
    all += ms;
  return got[account] / all;
}

} // namespace troupe::scheduling::testing
