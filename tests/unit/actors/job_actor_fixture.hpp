#pragma once

// A job beside its ledger, on a disk that can be held up; what it tells the others is written down.

#include "actors/device/device_messages.hpp"
#include "actors/job/job_actor.hpp"
#include "actors/job/open_job.hpp"
#include "actors/job/start_timer.hpp"
#include "actors/ledger/ledger_actor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/slow_journal.hpp"
#include "tests/unit/actors/shifted_clock.hpp"
#include "workflows/expand.hpp"

#include <gtest/gtest.h>

namespace troupe::testing {

using withdrawals = std::vector<std::pair<std::uint32_t, std::uint64_t>>; // stage, up to which attempt

/// What jobs told the scheduler and the cluster.
struct heard {
  scheduling::stage_request newest; // of those queued
  std::vector<std::uint32_t> queued;
  withdrawals withdrawn;
  std::vector<wire::assign> assigned;
  std::size_t reattached = 0;
  std::vector<std::uint32_t> asked_why; // stages that the scheduler was last asked of
};

/// What devices say when they are asked for an attempt: true and false are their word, null is none.
using device_word = json;

/// Two stages of 5 credits, one after the other; each makes a file.
inline workflow::plan_ptr plan_of_two(int attempts, int backoff_ms) {
  auto definition = json::parse(R"({
    "name": "two", "version": 1, "title": "Two", "description": "Two.", "inputs": {},
    "stages": [
      {"id": "a", "kind": "null.work", "params": {"bytes": 1}, "price": {"rule": "flat", "credits": 5},
       "retry": {}, "estimate_s": 2.5, "vram_mib": 4096},
      {"id": "b", "kind": "null.work", "params": {"bytes": 1}, "inputs": {"after": "a.data"},
       "price": {"rule": "flat", "credits": 5}}],
    "result": {"data": {"from": "b.data", "filename": "bench_{job}.bin"}}})");
  definition["stages"][0]["retry"] = {{"attempts", attempts}, {"backoff_ms", backoff_ms}};
  auto parsed = workflow::parse_definition(definition, "two.json");
  EXPECT_TRUE(parsed.definition) << (parsed.problems.empty() ? "" : parsed.problems[0].text());
  auto inputs = workflow::validate_inputs(*parsed.definition, json::object());
  return std::make_shared<const workflow::plan>(*workflow::expand(*parsed.definition, *inputs, {}));
}

/// As many stages as are asked for, none of which needs another.
inline workflow::plan_ptr plan_beside_each_other(int count) {
  json definition = {{"name", "wide"},           {"version", 1},
                     {"title", "Wide"},          {"description", "Wide."},
                     {"inputs", json::object()}, {"stages", json::array()},
                     {"result", json::object()}};
  for (int i = 0; i < count; ++i) {
    auto id = "s" + std::to_string(i);
    definition["stages"].push_back(
        {{"id", id}, {"kind", "null.work"}, {"params", {{"bytes", 1}}}, {"price", {{"rule", "free"}}}});
    definition["result"][id] = {{"from", id + ".data"}, {"filename", id + "_{job}.bin"}};
  }
  auto parsed = workflow::parse_definition(definition, "wide.json");
  EXPECT_TRUE(parsed.definition) << (parsed.problems.empty() ? "" : parsed.problems[0].text());
  auto inputs = workflow::validate_inputs(*parsed.definition, json::object());
  return std::make_shared<const workflow::plan>(*workflow::expand(*parsed.definition, *inputs, {}));
}

struct JobActor : ::testing::Test {
  slow_journal disk;
  actor_board board;
  deterministic_system cluster;
  heard told;
  device_word runs;
  json in_queue = json::object(); // why stages wait, as the scheduler says it
  address_book_ptr book_of_addresses = std::make_shared<address_book>();
  caf::actor ledger, job;
  int attempts = 2, backoff_ms = 0;                              // of the first stage
  static constexpr std::uint64_t fence = std::uint64_t{3} << 32; // numbers below are of earlier lives of the head
  job_options options = [] {
    job_options out;
    out.fence = fence;
    return out;
  }();

  void SetUp() override {
    activate();
    auto router = [this](caf::event_based_actor* self) -> caf::behavior {
      return {[this, self](route& r) -> caf::result<caf::message> {
        auto promise = self->make_response_promise();
        promise.delegate(r.kind == actor_kind::ledger ? ledger : job, std::move(r.content));
        return caf::delegated<caf::message>{};
      }};
    };
    auto scheduler = [this]() -> caf::behavior {
      return {[this](queue_stages& m) {
                for (auto& s : m.stages)
                  told.queued.push_back(s.ref.stage), told.newest = s;
              },
              [this](withdraw_stages& m) {
                for (const auto& s : m.stages)
                  told.withdrawn.emplace_back(s.ref.stage, s.up_to);
              },
              [this](attempt_goes_on&) { ++told.reattached; },
              [this](explain_waiting& m) {
                told.asked_why = m.stages;
                return description{in_queue};
              }};
    };
    auto nodes = [this]() -> caf::behavior {
      return {[this](run_stage& m) { told.assigned.push_back(m.what); },
              [this](attempt_asked&) {
                return description{runs.is_null() ? json::object() : json{{"runs", runs}}};
              }};
    };
    book_of_addresses->directory = cluster.system.spawn(router);
    book_of_addresses->scheduler = cluster.system.spawn(scheduler);
    book_of_addresses->cluster = cluster.system.spawn(nodes);
    book_of_addresses->start_timer = cluster.system.spawn<start_timer>(std::ref(board));
  }
  void TearDown() override {
    wall_clock_shift_ms = 0;
    auto& others = *book_of_addresses;
    for (const auto& who : {ledger, job, others.directory, others.scheduler, others.cluster, others.start_timer})
      caf::anon_send_exit(who, caf::exit_reason::user_shutdown);
    ledger = job = nullptr;
    others.clear();
    cluster.scheduler.run();
  }

  /// As after a crash: both actors are made again from what is on disk.
  void activate() {
    for (auto* who : {&ledger, &job})
      if (*who)
        caf::anon_send_exit(*who, caf::exit_reason::kill);
    cluster.scheduler.run();
    ledger = cluster.system.spawn<ledger_actor>(std::ref(board), std::ref(disk), std::string{"alice"},
                                                std::move(*disk.replay("ledger/alice")), disk.feed_ids["alice"]);
    job = cluster.system.spawn<job_actor>(std::ref(board), std::ref(disk), book_of_addresses, options, std::string{"j"},
                                          std::move(*disk.replay("job/j")));
  }

  caf::expected<submitted_job> submit(std::int64_t balance) {
    return submit(balance, plan_of_two(attempts, backoff_ms));
  }
  caf::expected<submitted_job> submit(std::int64_t balance, workflow::plan_ptr plan) {
    book grant;
    grant.account = "alice";
    grant.movements.push_back({"grant", credits(balance), {}, {}, {}, {}});
    cluster.ask(ledger, std::move(grant));
    submit_job m;
    m.job = "j";
    m.account = "alice";
    m.workflow = "two";
    m.generation = 1;
    m.plan = std::move(plan);
    m.at = 1000;
    return cluster.ask(job, std::move(m));
  }
  bool place(std::uint32_t stage, std::uint64_t attempt) {
    return bool(cluster.ask(job, place_stage{"j", stage, "n/cpu0", attempt}));
  }
  /// As the scheduler says it.
  bool lose(std::uint32_t stage, std::uint64_t attempt) {
    return bool(cluster.ask(job, stage_moved{"j", stage, "n/cpu0", attempt}));
  }
  bool finish(std::uint32_t stage, std::uint64_t attempt) {
    wire::finished f;
    f.ref = {"j", stage, attempt};
    f.device = "n/cpu0";
    f.engine = "null/1";
    f.outputs.push_back(
        {"data", std::string(64, static_cast<char>('a' + stage)), 1, "application/octet-stream", json::object()});
    return bool(cluster.ask(job, stage_report{"j", "n/cpu0", f}));
  }
  bool fail(std::uint32_t stage, std::uint64_t attempt, const char* fault) {
    return bool(cluster.ask(
        job, stage_report{"j", "n/cpu0", wire::failed{{"j", stage, attempt}, "n/cpu0", fault, "why", {}, 1}}));
  }
  void pass(std::chrono::milliseconds time) {
    cluster.scheduler.advance_time(time);
    cluster.scheduler.run();
  }
  /// As long as a start is kept back.
  void keep_a_start() {
    for (int half = 0; half < 2; ++half)
      pass(std::chrono::milliseconds(start_kept_ms / 2));
  }
  json waiting(std::uint32_t stages_max = 100) {
    auto answer = cluster.ask(job, explain_job{"j", stages_max});
    return answer ? answer->value : json{{"refused", to_string(read_refusal(answer.error()).why)}};
  }
  std::string status() {
    auto view = cluster.ask(job, describe_job{"j"});
    return view ? view->value["status"].get<std::string>() : "none";
  }
  books money() { return *cluster.ask(ledger, read_books{"alice"}); }
};

} // namespace troupe::testing
