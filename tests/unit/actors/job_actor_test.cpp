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

namespace troupe {
namespace {

using testing::deterministic_system;
using testing::slow_journal;
using testing::wall_clock_shift_ms;

/// What jobs told the scheduler and the cluster.
struct heard {
  scheduling::stage_request newest; // of those queued
  std::vector<std::uint32_t> queued;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> withdrawn; // stage, up to which attempt
  std::vector<wire::assign> assigned;
  std::size_t reattached = 0;
  std::vector<std::uint32_t> asked_why; // stages that the scheduler was last asked of
};

/// What devices say when they are asked for an attempt: true and false are their word, null is none.
using device_word = json;

/// Two stages of 5 credits, one after the other; each makes a file.
workflow::plan_ptr plan_of_two(int attempts, int backoff_ms) {
  auto definition = json::parse(R"({
    "name": "two", "version": 1, "title": "Two", "description": "Two.", "inputs": {},
    "stages": [
      {"id": "a", "kind": "null.work", "params": {"bytes": 1}, "price": {"rule": "flat", "credits": 5},
       "retry": {}, "estimate_s": 2.5},
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
workflow::plan_ptr plan_beside_each_other(int count) {
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

TEST_F(JobActor, RunsItsStagesInOrderAndChargesEachWhenItsResultIsDurable) {
  auto made = submit(100);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->held, credits(10));
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0}));
  ASSERT_TRUE(place(0, 1));
  ASSERT_EQ(told.assigned.size(), 1u);
  EXPECT_EQ(told.assigned[0].device, "cpu0");
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(money().spent, credits(5));
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0, 1}));
  ASSERT_TRUE(place(1, 2));
  EXPECT_EQ(told.assigned[1].inputs[0].sha256, std::string(64, 'a'));
  ASSERT_TRUE(finish(1, 2));
  EXPECT_EQ(status(), "succeeded");
  EXPECT_EQ(money().spent, credits(10));
  EXPECT_EQ(money().held, 0);
  // The charge, the result's row and the end of the job are one batch.
  const auto& last = disk.written.back();
  EXPECT_EQ(last.appends.size(), 2u);
  EXPECT_TRUE(
      std::any_of(last.rows.begin(), last.rows.end(), [](const auto& r) { return r.in == storage::table::files; }));
}

TEST_F(JobActor, TheStartOfAShortStageIsWrittenWithItsEnd) {
  submit(100);
  auto before = disk.written.size();
  place(0, 1);
  EXPECT_EQ(disk.written.size(), before) << "nothing but the record of the start, which can wait";
  finish(0, 1);
  ASSERT_EQ(disk.written.size(), before + 1);
  EXPECT_EQ(disk.written.back().appends.at(0).events.size(), 2u) << "started and succeeded, in that order";
  EXPECT_EQ(disk.written.back().feeds.at(0).entries.size(), 4u) << "running, the start, the end, the charge";
}

TEST_F(JobActor, TheStartOfALongStageIsWrittenSoon) {
  submit(100);
  auto before = disk.written.size();
  place(0, 1);
  keep_a_start();
  EXPECT_EQ(disk.written.size(), before + 1);
  place(0, 1); // told twice: nothing new
  keep_a_start();
  EXPECT_EQ(disk.written.size(), before + 1);
}

TEST_F(JobActor, WhoAsksOfAStartThatIsNotWrittenYetIsAnsweredWhenItIs) {
  submit(100);
  auto before = disk.written.size();
  place(0, 1);
  EXPECT_EQ(status(), "running");
  EXPECT_EQ(disk.written.size(), before + 1);
}

TEST_F(JobActor, TellsNobodyOfAResultThatIsNotDurable) {
  submit(100);
  place(0, 1);
  disk.stopped = true;
  EXPECT_FALSE(finish(0, 1));
  EXPECT_EQ(status(), "none") << "not yet";
  disk.stopped = false;
  disk.let_go();
  cluster.scheduler.run();
  EXPECT_EQ(status(), "running");
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, AnswersWithTheStateThatItsOwnStepLeftAndNoLaterOne) {
  submit(100);
  place(0, 1);
  ASSERT_TRUE(finish(0, 1));
  disk.stopped = true;
  auto remade = cluster.self->request(job, caf::infinite, remake_artifact{"j", std::string(64, 'a'), 1001});
  cluster.scheduler.run();
  auto cancelled = cluster.self->request(job, caf::infinite, cancel_job{"j", 1002});
  cluster.scheduler.run();
  auto expect = [](auto& answer, const char* status) {
    answer.receive([&](description& said) { EXPECT_EQ(said.value["status"], status); },
                   [](caf::error& why) { ADD_FAILURE() << to_string(why); });
  };
  disk.let_go(1);
  cluster.scheduler.run();
  expect(remade, "running");
  disk.let_go();
  cluster.scheduler.run();
  expect(cancelled, "cancelled");
}

TEST_F(JobActor, SaysHowLongAStageShouldTake) {
  submit(100);
  EXPECT_EQ(told.newest.estimate_ms, 2'500u);
  place(0, 1);
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(told.newest.ref.stage, 1u);
  EXPECT_EQ(told.newest.estimate_ms, 1'000u) << "its workflow does not say";
}

TEST_F(JobActor, AsksForMemoryOfItsKindAndToRunWhereItsInputsWereMade) {
  options.vram_of = [](const std::string& kind) { return kind == "null.work" ? 4096u : 0u; };
  activate();
  submit(100);
  EXPECT_EQ(told.newest.vram_mib, 4096u);
  EXPECT_TRUE(told.newest.near.empty());
  place(0, 1);
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(told.newest.ref.stage, 1u);
  EXPECT_EQ(told.newest.near, (std::vector<node_id>{{"n"}}));
}

TEST_F(JobActor, LeavesNothingWhenTheWalletIsShort) {
  auto made = submit(9);
  ASSERT_FALSE(made);
  EXPECT_EQ(read_refusal(made.error()).why, refusal::insufficient_credits);
  EXPECT_EQ(disk.replay("job/j")->last_seq, 0u);
  EXPECT_EQ(money().held, 0);
  EXPECT_TRUE(told.queued.empty());
}

TEST_F(JobActor, TakesAResultOnceHoweverOftenItIsTold) {
  submit(100);
  place(0, 1);
  EXPECT_TRUE(finish(0, 1));
  EXPECT_TRUE(finish(0, 1)); // acknowledged again, so that the node may forget it
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, DropsTheReportOfAnAttemptThatWasReplaced) {
  submit(100);
  place(0, 1);
  cluster.ask(job, stage_moved{"j", 0, "n/cpu0", 1});
  ASSERT_TRUE(place(0, 2));
  fail(0, 1, "unknown");
  EXPECT_TRUE(finish(0, 2));
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, ReleasesAllWhenCancelled) {
  submit(100);
  place(0, 1);
  ASSERT_TRUE(cluster.ask(job, cancel_job{"j", 2000}));
  EXPECT_EQ(status(), "cancelled");
  EXPECT_EQ(money().held, 0);
  EXPECT_EQ(money().balance, credits(100));
  EXPECT_EQ(told.withdrawn, (std::vector<std::pair<std::uint32_t, std::uint64_t>>{{0, 1}}))
      << "the other one never was in the queue";
  EXPECT_TRUE(finish(0, 1)) << "too late: nothing is charged for it";
  EXPECT_EQ(money().spent, 0);
}

TEST_F(JobActor, KeepsWhatWasEarnedAndReleasesTheRestWhenAStageFailsForGood) {
  submit(100);
  place(0, 1);
  finish(0, 1);
  place(1, 2);
  EXPECT_TRUE(fail(1, 2, "bad_input"));
  EXPECT_EQ(status(), "failed");
  EXPECT_EQ(money().spent, credits(5));
  EXPECT_EQ(money().held, 0);
  EXPECT_EQ(money().balance, credits(95));
}

TEST_F(JobActor, MakesAnArtifactAgainWithoutChargingForItAgain) {
  submit(100);
  place(0, 1);
  finish(0, 1);
  place(1, 2);
  finish(1, 2);
  ASSERT_TRUE(cluster.ask(job, remake_artifact{"j", std::string(64, 'b'), 3000}));
  EXPECT_EQ(status(), "running");
  ASSERT_TRUE(place(1, 3));
  ASSERT_TRUE(finish(1, 3));
  EXPECT_EQ(status(), "succeeded");
  EXPECT_EQ(money().spent, credits(10));
}

// A slow disk: what was lost is made again, and its successor runs again, before the loss itself is durable.
TEST_F(JobActor, WithdrawsTheAttemptsThatAStepEndedAndNoneThatWasGivenSince) {
  submit(100);
  place(0, 1);
  finish(0, 1);
  place(1, 2);
  disk.stopped = true;
  auto lost = wire::failed{{"j", 1, 2}, "n/cpu0", "missing_input", "why", std::string(64, 'a'), 1};
  EXPECT_FALSE(cluster.ask(job, stage_report{"j", "n/cpu0", lost})) << "not yet";
  ASSERT_TRUE(place(0, 3));
  finish(0, 3);
  ASSERT_TRUE(place(1, 4));
  disk.stopped = false;
  disk.let_go();
  cluster.scheduler.run();
  EXPECT_EQ(told.withdrawn, (std::vector<std::pair<std::uint32_t, std::uint64_t>>{{1, 2}}));
  ASSERT_TRUE(finish(1, 4));
  EXPECT_EQ(status(), "succeeded");
}

TEST_F(JobActor, ForgetsItsFilesWhenItsOwnerDeletesIt) {
  submit(100);
  EXPECT_FALSE(cluster.ask(job, forget_job{"j", 1})); // it has not ended
  cluster.ask(job, cancel_job{"j", 2});
  EXPECT_TRUE(cluster.ask(job, forget_job{"j", 3}));
  EXPECT_EQ(status(), "none");
}

/// Goal: a crash after any step changes nothing but the time. Method: the whole life of a job, with both actors made
/// again from disk after each step; money and state end as without crashes.
TEST_F(JobActor, EndsTheSameWhenItIsMadeAgainAfterEveryStep) {
  submit(100);
  activate();
  cluster.ask(job, resume_job{"j"});
  ASSERT_TRUE(place(0, 1));
  activate();
  cluster.ask(job, resume_job{"j"});
  ASSERT_TRUE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 1}));
  EXPECT_EQ(told.reattached, 1u);
  ASSERT_TRUE(finish(0, 1));
  activate();
  ASSERT_TRUE(finish(0, 1)); // its node did not hear the acknowledgement
  cluster.ask(job, resume_job{"j"});
  ASSERT_TRUE(place(1, 5));
  activate();
  ASSERT_TRUE(finish(1, 5)); // it finished while the head was away
  EXPECT_EQ(status(), "succeeded");
  EXPECT_EQ(money().spent, credits(10));
  EXPECT_EQ(money().held, 0);
}

TEST_F(JobActor, WhenIdleAsksAfterAnAttemptWhoseReportWasLost) {
  submit(100);
  place(0, 1);
  keep_a_start();
  runs = true;
  EXPECT_FALSE(*cluster.ask<bool>(job, passivate{"idle"})); // its device runs it: all is well
  EXPECT_EQ(told.reattached, 1u);
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0}));
  runs = false;
  pass(std::chrono::seconds(1));
  EXPECT_FALSE(*cluster.ask<bool>(job, passivate{"idle"}));
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0, 0})) << "nobody runs it: it is queued again";
  ASSERT_TRUE(place(0, 2));
  ASSERT_TRUE(finish(0, 2));
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, IsQueuedAgainWhenItWasPlacedUnderAStaleNumber) {
  submit(100);
  place(0, 3);
  fail(0, 3, "lost_node");
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0, 0}));
  EXPECT_FALSE(place(0, 3)); // with this answer the scheduler forgets the stage
  cluster.scheduler.advance_time(std::chrono::seconds(1));
  cluster.scheduler.run();
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0, 0, 0}));
  ASSERT_TRUE(place(0, 4));
  ASSERT_TRUE(finish(0, 4));
}

TEST_F(JobActor, IsQueuedAgainWhenAnAttemptFailsThatACrashForgot) {
  submit(100);
  disk.stopped = true;
  place(0, 1);
  disk.forget();
  disk.stopped = false;
  activate();
  cluster.ask(job, resume_job{"j"}); // the scheduler has it running and overlooks this
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0, 0}));
  ASSERT_TRUE(fail(0, 1, "unknown"));
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0, 0, 0}));
  ASSERT_TRUE(place(0, 2));
  ASSERT_TRUE(finish(0, 2));
}

// Goal: no alarm for what a clock that was set back put far away stands in the way of a nearer one.
TEST_F(JobActor, IsQueuedInTimeAfterTheClockWasSetBack) {
  attempts = 4;
  backoff_ms = 2'000;
  submit(100);
  ASSERT_TRUE(place(0, 1));
  disk.stopped = true;
  fail(0, 1, "unknown");            // the next attempt is due in two seconds,
  wall_clock_shift_ms = -3'600'000; // which are an hour now,
  disk.stopped = false;
  disk.let_go();
  cluster.scheduler.run();
  EXPECT_EQ(told.queued.size(), 2u); // and no wait is longer than it was meant to be
  ASSERT_TRUE(place(0, 2));
  ASSERT_TRUE(fail(0, 2, "unknown"));
  EXPECT_EQ(told.queued.size(), 2u);
  for (int second = 0; second < 10; ++second) {
    wall_clock_shift_ms += 1'000;
    pass(std::chrono::seconds(1));
  }
  EXPECT_EQ(told.queued.size(), 3u);
}

TEST_F(JobActor, BelievesOfAnAttemptOnlyTheNodeThatHasIt) {
  submit(100);
  ASSERT_TRUE(place(0, fence + 3));
  auto lie = [&](wire::from_node what) { return bool(cluster.ask(job, stage_report{"j", "liar/cpu0", what})); };
  wire::finished done{{"j", 0, fence + 3}, "cpu0", "null/1", false, 1, {}};
  done.outputs.push_back({"data", std::string(64, 'f'), 1, "application/octet-stream", json::object()});
  EXPECT_TRUE(lie(done)) << "it is told to forget it";
  EXPECT_TRUE(lie(wire::failed{done.ref, "cpu0", "bad_input", "a lie", {}, 1}));
  EXPECT_FALSE(lie(wire::progress{done.ref, 0.9, "a lie"}));
  EXPECT_FALSE(lie(wire::preview{done.ref, "a lie"}));
  EXPECT_FALSE(cluster.ask(job, stage_reattached{"j", 0, "liar/cpu0", fence + 3}));
  EXPECT_EQ(status(), "running");
  EXPECT_EQ(money().spent, 0);
  ASSERT_TRUE(finish(0, fence + 3));
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, DoesNotBelieveANumberOfThisHeadThatItWasNotToldOf) {
  submit(100);
  EXPECT_FALSE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", fence + 9}));
  EXPECT_FALSE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", (std::uint64_t{1} << 53) - 1}));
  EXPECT_TRUE(finish(0, fence + 9));
  EXPECT_EQ(status(), "queued");
  EXPECT_EQ(told.queued, (std::vector<std::uint32_t>{0, 0})) << "the scheduler may have believed it: it is told again";
  ASSERT_TRUE(place(0, fence + 1));
  ASSERT_TRUE(finish(0, fence + 1));
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, DoesNotBelieveAnEarlierLifesNumberOfAJobThatIsYounger) {
  options.began_at = 1000; // when the job is submitted
  activate();
  submit(100);
  EXPECT_FALSE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 7}));
  EXPECT_EQ(status(), "queued");
}

TEST_F(JobActor, ARunTimeIsNotBelievedBeyondWhatHasPassed) {
  submit(100);
  place(0, 1);
  wire::finished done{{"j", 0, 1}, "n/cpu0", "null/1", false, UINT32_MAX, {}};
  done.outputs.push_back({"data", std::string(64, 'a'), 1, "application/octet-stream", json::object()});
  ASSERT_TRUE(cluster.ask(job, stage_report{"j", "n/cpu0", done}));
  auto view = cluster.ask(job, describe_job{"j"});
  ASSERT_TRUE(view);
  EXPECT_LT(view->value["stages"][0]["run_ms"].get<std::int64_t>(), 60'000);
}

TEST_F(JobActor, LeavesOnTheDiskWhatAStartIsToQueueUntilAStageHasBegun) {
  submit(100);
  auto row = [this] {
    std::string newest;
    for (const auto& batch : disk.written)
      for (const auto& r : batch.rows)
        if (r.in == storage::table::open_jobs && r.key == "j")
          newest = r.value.value_or("");
    return newest;
  };
  auto open = jobs::unpack_open_job("j", row());
  ASSERT_TRUE(open);
  EXPECT_EQ(open->account, "alice");
  ASSERT_EQ(open->waiting.size(), 1u);
  EXPECT_EQ(open->waiting[0].ref, (scheduling::stage_ref{{"j"}, 0}));
  EXPECT_EQ(open->waiting[0].kind, "null.work");
  EXPECT_EQ(open->waiting[0].account.value, "alice");
  auto urgent = told.newest;
  urgent.priority = scheduling::priority_class::interactive;
  urgent.may_run_twice = true;
  urgent.vram_mib = 4096;
  EXPECT_EQ(jobs::unpack_open_job("j", jobs::pack_open_job("alice", {urgent}))->waiting,
            std::vector<scheduling::stage_request>{urgent});
  place(0, 1);
  keep_a_start();
  open = jobs::unpack_open_job("j", row());
  ASSERT_TRUE(open);
  EXPECT_EQ(open->account, "alice");
  EXPECT_TRUE(open->waiting.empty()) << "from here on only the job knows";
  EXPECT_FALSE(jobs::unpack_open_job("j", "no row"));
  EXPECT_FALSE(jobs::unpack_open_job("j", pack({{"account", "alice"}, {"weight", -1}, {"stages", {{0}}}})));
}

TEST_F(JobActor, SaysOfAStageThatBacksOffWhenItIsTriedAgain) {
  attempts = 3;
  backoff_ms = 60'000;
  submit(100);
  place(0, 1);
  fail(0, 1, "unknown");
  auto answer = waiting();
  EXPECT_EQ(answer["count"], 1);
  const auto& row = answer["stages"][0];
  EXPECT_EQ(row["index"], 0);
  EXPECT_EQ(row["stage"], "a");
  EXPECT_EQ(row["code"], "backing_off");
  EXPECT_NE(row["reason"].get<std::string>().find("failure 1 of the 3"), std::string::npos) << row;
  EXPECT_TRUE(row["position"].is_null());
  EXPECT_GT(row["eta_ms"], 50'000);
  EXPECT_LE(row["eta_ms"], 60'000);
  EXPECT_TRUE(told.asked_why.empty()) << "the scheduler has not got it";
  wall_clock_shift_ms = 61'000; // it is due, and in the queue
  in_queue = {{"0", {{"code", "busy"}, {"reason", "all are busy"}, {"position", 2}, {"eta_ms", 700}}}};
  answer = waiting();
  EXPECT_EQ(told.asked_why, std::vector<std::uint32_t>{0});
  EXPECT_EQ(answer["stages"][0]["code"], "busy");
  EXPECT_EQ(answer["stages"][0]["position"], 2);
  EXPECT_EQ(answer["stages"][0]["eta_ms"], 700);
}

TEST_F(JobActor, SaysOfAStageThatTheSchedulerTurnedAwayWhy) {
  submit(100);
  EXPECT_EQ(waiting()["stages"][0]["code"], "in_transit") << "nobody has it";
  for (const char* code : {"queue_full", "account_queue_full", "stopping"}) {
    ASSERT_TRUE(cluster.ask(job, stage_rejected{"j", 0, code, "no room"}));
    auto row = waiting()["stages"][0];
    EXPECT_EQ(row["code"], code);
    EXPECT_EQ(row["reason"], "no room");
    EXPECT_TRUE(row["position"].is_null());
    EXPECT_TRUE(row["eta_ms"].is_null());
  }
  in_queue = {{"0", {{"code", "busy"}, {"reason", "all are busy"}, {"position", 1}}}}; // there was room later
  EXPECT_EQ(waiting()["stages"][0]["code"], "busy");
  EXPECT_TRUE(waiting()["stages"][0]["eta_ms"].is_null());
  place(0, 1);
  EXPECT_EQ(waiting()["count"], 0);
  in_queue = json::object();
  fail(0, 1, "device");
  EXPECT_EQ(waiting()["stages"][0]["code"], "in_transit") << "what was before its attempt is forgotten";
}

TEST_F(JobActor, NamesWhatWaitsInTheOrderOfItsStagesAndCountsTheRest) {
  submit(100, plan_beside_each_other(12));
  in_queue = {{"10", {{"code", "busy"}, {"reason", "all are busy"}, {"position", 11}, {"eta_ms", 1}}}};
  auto answer = waiting(11);
  EXPECT_EQ(answer["count"], 12);
  ASSERT_EQ(answer["stages"].size(), 11u);
  for (std::size_t i = 0; i < 11; ++i)
    EXPECT_EQ(answer["stages"][i]["index"], i);
  EXPECT_EQ(answer["stages"][10]["position"], 11);
}

TEST_F(JobActor, DoesNotSayWhyStagesWaitOfAJobThatIsNotOrWithoutAScheduler) {
  EXPECT_EQ(waiting()["refused"], to_string(refusal::not_found));
  submit(100);
  caf::anon_send_exit(book_of_addresses->scheduler, caf::exit_reason::user_shutdown);
  cluster.scheduler.run();
  EXPECT_EQ(waiting()["refused"], to_string(refusal::unavailable));
}

TEST_F(JobActor, AnAttemptThatACrashForgotIsTakenBack) {
  submit(100);
  activate(); // the start was never written
  ASSERT_TRUE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 7}));
  ASSERT_TRUE(finish(0, 7));
  EXPECT_EQ(money().spent, credits(5));
}

} // namespace
} // namespace troupe
