#include "builders.hpp"

namespace troupe::workflow {
namespace {

using namespace workflow::testing;

/// A run whose promises are checked after every event.
struct Checked {
  explicit Checked(plan_ptr plan) : run(std::move(plan)) { run.check_invariants(); }

  effects operator()(const event& e) {
    auto before = run;
    auto out = run.apply(e);
    run.check_invariants();
    if (!out.changed) {
      EXPECT_EQ(out, effects{});
      EXPECT_TRUE(run == before) << "an event that does not fit must change nothing";
    }
    return out;
  }
  effects succeed(std::uint32_t i, std::uint64_t attempt = 1) {
    return (*this)(stage_succeeded{i, attempt, outputs_of(run.plan().stages[i])});
  }
  effects fail(std::uint32_t i, fault kind, std::uint64_t attempt = 1, std::int64_t at = 0) {
    return (*this)(stage_failed{i, attempt, kind, "why", at});
  }

  workflow::run run;
};

using indices = std::vector<std::uint32_t>;

// a → b → c
plan_ptr chain(json retry = {{"attempts", 3}, {"backoff_ms", 1000}}) {
  return null_plan({null_stage("a", {}, retry), null_stage("b", {"a"}, retry), null_stage("c", {"b"}, retry)}, "c");
}

// a, b → c
plan_ptr join() { return null_plan({null_stage("a"), null_stage("b"), null_stage("c", {"a", "b"})}, "c"); }

plan_ptr film() { return planned(shipped("short-film"), film_inputs(2)); }

TEST(Run, NothingIsReadyBeforeItStarts) {
  Checked run(chain());
  EXPECT_EQ(run.run.now(), phase::queued);
  EXPECT_TRUE(run.run.ready(0).empty());
  EXPECT_FALSE(run.succeed(0).changed);
  EXPECT_TRUE(run(started{}).changed);
  EXPECT_EQ(run.run.ready(0), indices{0});
  EXPECT_EQ(run.run.now(), phase::queued) << "no stage runs yet";
  EXPECT_FALSE(run(started{}).changed);
}

TEST(Run, GoesFromStageToStageAndIsPaidByEach) {
  Checked run(chain());
  run(started{});
  run(stage_started{0, 1});
  EXPECT_EQ(run.run.now(), phase::running);
  EXPECT_TRUE(run.run.ready(0).empty());
  EXPECT_EQ(run.succeed(0).capture, indices{0});
  EXPECT_EQ(run.run.ready(0), indices{1});
  EXPECT_EQ(run.succeed(1).capture, indices{1});
  EXPECT_EQ(run.succeed(2).capture, indices{2});
  EXPECT_EQ(run.run.now(), phase::succeeded);
  EXPECT_EQ(run.run.progress(), 1.0);
  ASSERT_EQ(run.run.results().size(), 1u);
  EXPECT_EQ(run.run.results()[0].filename, "{job}.bin");
}

TEST(Run, AJoinWaitsForAll) {
  Checked run(join());
  run(started{});
  EXPECT_EQ(run.run.ready(0), (indices{0, 1}));
  run.succeed(1);
  EXPECT_EQ(run.run.ready(0), indices{0});
  run.succeed(0);
  EXPECT_EQ(run.run.ready(0), indices{2});
}

TEST(Run, GivesAStageTheFilesOfTheOnesBeforeIt) {
  auto plan = film();
  Checked run(plan);
  run(started{});
  std::uint32_t join = 0;
  for (std::uint32_t i = 0; i < plan->stages.size(); ++i) {
    if (plan->stages[i].name == "join") {
      join = i;
      break;
    }
    run.succeed(i);
  }
  auto files = run.run.inputs_of(join);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].port, "videos");
  EXPECT_EQ(files[0].file.sha256, sha256_hex("upscale[0].video"));
  EXPECT_EQ(files[1].file.sha256, sha256_hex("upscale[1].video"));
  EXPECT_EQ(run.run.producer_of(join, files[1].file.sha256),
            files[1].file.sha256 == sha256_hex("upscale[1].video") ? std::optional<std::uint32_t>{3} : std::nullopt);
  EXPECT_FALSE(run.run.producer_of(join, sha256_hex("other")));
}

TEST(Run, AnUnknownErrorBacksOffLongerEachTimeAndThenEndsTheRun) {
  Checked run(chain());
  run(started{});
  EXPECT_TRUE(run.fail(0, fault::unknown, 1, 10'000).changed);
  EXPECT_TRUE(run.run.ready(10'999).empty());
  EXPECT_EQ(run.run.next_due(), 11'000);
  EXPECT_EQ(run.run.ready(11'000), indices{0});
  run.fail(0, fault::timeout, 2, 20'000);
  EXPECT_EQ(run.run.next_due(), 22'000);
  auto last = run.fail(0, fault::unknown, 3, 30'000);
  EXPECT_EQ(run.run.now(), phase::failed);
  EXPECT_EQ(last.release, (indices{0, 1, 2}));
  EXPECT_TRUE(last.withdraw.empty());
  EXPECT_EQ(run.run.failure(), "a: why");
}

TEST(Run, AClockThatIsSetBackMakesNoWaitLonger) {
  Checked run(chain());
  run(started{});
  run.fail(0, fault::unknown, 1, 10'000'000);
  EXPECT_TRUE(run.run.ready(10'000'500).empty());
  EXPECT_EQ(run.run.ready(6'000'000), indices{0});
}

TEST(Run, SaysHowLongAStageStillBacksOff) {
  Checked run(chain());
  run(started{});
  EXPECT_EQ(run.run.backs_off_for(0, 5'000), 0) << "it is ready";
  run.fail(0, fault::unknown, 1, 5'000);
  EXPECT_EQ(run.run.backs_off_for(0, 5'000), 1'000);
  EXPECT_EQ(run.run.backs_off_for(0, 5'900), 100);
  EXPECT_EQ(run.run.backs_off_for(0, 6'000), 0) << "it is due";
  EXPECT_EQ(run.run.backs_off_for(0, 1'000), 0) << "the clock was set back: no wait is longer than it was meant to be";
}

TEST(Run, BackoffHasALimit) {
  Checked run(chain({{"attempts", 10}, {"backoff_ms", 300'000}}));
  run(started{});
  for (std::uint64_t attempt = 1; attempt < 10; ++attempt)
    run.fail(0, fault::unknown, attempt, 0);
  EXPECT_EQ(run.run.next_due(), 300'000);
}

TEST(Run, BadInputIsNeverTriedAgain) {
  Checked run(chain());
  run(started{});
  run.fail(0, fault::bad_input);
  EXPECT_EQ(run.run.now(), phase::failed);
}

TEST(Run, ADeviceFaultIsTriedElsewhereAtOnceButNotForEver) {
  Checked run(chain());
  run(started{});
  run.fail(0, fault::device, 1);
  EXPECT_EQ(run.run.ready(0), indices{0});
  run.fail(0, fault::out_of_memory, 2);
  EXPECT_EQ(run.run.ready(0), indices{0});
  run.fail(0, fault::device, 3);
  EXPECT_EQ(run.run.now(), phase::failed);
}

TEST(Run, ALostNodeDoesNotCountUpToALimit) {
  Checked run(chain({{"attempts", 1}}));
  run(started{});
  std::uint64_t attempt = 1;
  for (; attempt <= run::limits::lost_nodes_max; ++attempt) {
    run(stage_started{0, attempt});
    run.fail(0, fault::lost_node, attempt);
    EXPECT_EQ(run.run.ready(0), indices{0});
  }
  run.fail(0, fault::lost_node, attempt);
  EXPECT_EQ(run.run.now(), phase::failed) << "what kills every node it meets must not kill all";
}

TEST(Run, DevicesThatItDoesNotSuitAreNotItsFaultUpToALimit) {
  Checked run(chain({{"attempts", 1}}));
  run(started{});
  std::uint64_t attempt = 1;
  for (; attempt <= run::limits::lost_nodes_max; ++attempt) {
    run(stage_started{0, attempt});
    run.fail(0, fault::unsuited, attempt);
    EXPECT_EQ(run.run.ready(0), indices{0}) << "another one may do at once";
  }
  run.fail(0, fault::unsuited, attempt);
  EXPECT_EQ(run.run.now(), phase::failed) << "nobody takes it";
}

TEST(Run, WhatIsStoppedForOthersCountsForNothing) {
  Checked run(chain({{"attempts", 1}}));
  run(started{});
  for (std::uint64_t attempt = 1; attempt <= 1'000; ++attempt) {
    run(stage_started{0, attempt});
    run.fail(0, fault::stopped, attempt);
    ASSERT_EQ(run.run.ready(0), indices{0});
  }
  EXPECT_EQ(run.run.at(0).failures + run.run.at(0).lost_nodes, 0u);
}

TEST(Run, AFinalFailureStopsTheOthersAndReleasesWhatWasNotPaid) {
  Checked run(join());
  run(started{});
  run(stage_started{1, 4});
  auto out = run.fail(0, fault::bad_input);
  EXPECT_EQ(out.withdraw, indices{1});
  EXPECT_EQ(out.release, (indices{0, 1, 2}));
  EXPECT_EQ(run.run.at(1).state, stage_state::cancelled);
  EXPECT_FALSE(run.succeed(1, 4).changed) << "too late";
}

TEST(Run, CancelWithdrawsWhatIsIssuedAndKeepsWhatIsPaid) {
  Checked run(chain());
  run(started{});
  run.succeed(0);
  run(stage_started{1, 1});
  auto out = run(cancel_asked{});
  EXPECT_EQ(out.withdraw, indices{1});
  EXPECT_EQ(out.release, (indices{1, 2}));
  EXPECT_EQ(run.run.now(), phase::cancelled);
  EXPECT_FALSE(run(cancel_asked{}).changed);
  EXPECT_FALSE(run.succeed(1).changed);
}

TEST(Run, CancelBeforeTheStartReleasesEverything) {
  Checked run(chain());
  auto out = run(cancel_asked{});
  EXPECT_TRUE(out.withdraw.empty());
  EXPECT_EQ(out.release, (indices{0, 1, 2}));
  EXPECT_FALSE(run(started{}).changed);
}

TEST(Run, WhatALostNodeFinishedCountsWhileNobodyHasBegunItAnew) {
  Checked run(chain());
  run(started{});
  run(stage_started{0, 1});
  run.fail(0, fault::lost_node, 1);
  EXPECT_EQ(run.run.ready(0), indices{0}) << "it waits, and whoever is free may have it";
  auto out = run.succeed(0, 1);
  EXPECT_EQ(out.capture, indices{0});
  EXPECT_EQ(out.withdraw, indices{0}) << "it waits no more";
  EXPECT_EQ(run.run.ready(0), indices{1});
  EXPECT_FALSE(run.succeed(0, 1).changed) << "paid once";
}

TEST(Run, WhatALostNodeStillRunsGoesOnWhileNobodyHasBegunItAnew) {
  Checked run(chain({{"attempts", 1}}));
  run(started{});
  run(stage_started{0, 1});
  run.fail(0, fault::lost_node, 1);
  EXPECT_TRUE(run(stage_started{0, 1}).changed);
  EXPECT_EQ(run.run.at(0).state, stage_state::running);
  EXPECT_EQ(run.run.at(0).lost_nodes, 1u) << "it was lost all the same";
  EXPECT_TRUE(run.fail(0, fault::cancelled, 1).changed) << "from now on its end is like another's";
  EXPECT_FALSE(run.succeed(0, 1).changed);
  EXPECT_FALSE(run(stage_started{0, 1}).changed);
}

TEST(Run, ThatALostAttemptFailedChangesNothing) {
  Checked run(chain({{"attempts", 1}}));
  run(started{});
  run(stage_started{0, 1});
  run.fail(0, fault::lost_node, 1);
  for (auto kind : {fault::bad_input, fault::device, fault::stopped, fault::lost_node})
    EXPECT_FALSE(run.fail(0, kind, 1).changed) << name_of(kind) << ": it waits already";
  EXPECT_TRUE(run(stage_started{0, 2}).changed);
}

TEST(Run, ALostAttemptIsStaleOnceALaterOneHasStarted) {
  Checked run(chain());
  run(started{});
  run(stage_started{0, 1});
  run.fail(0, fault::lost_node, 1);
  run(stage_started{0, 2});
  EXPECT_FALSE(run.succeed(0, 1).changed);
  EXPECT_FALSE(run.fail(0, fault::bad_input, 1).changed);
  EXPECT_FALSE(run(stage_started{0, 1}).changed);
  run.fail(0, fault::lost_node, 2);
  EXPECT_FALSE(run.succeed(0, 1).changed) << "only the last one may come back";
  EXPECT_TRUE(run.succeed(0, 2).changed);
  EXPECT_FALSE(run.succeed(0, 3).changed) << "paid once";
}

TEST(Run, AnAttemptThatIsLostTooOftenMayStillSucceedWhileItsStageBacksOff) {
  Checked run(chain());
  run(started{});
  std::uint64_t attempt = 1;
  for (; attempt <= run::limits::lost_nodes_max; ++attempt) {
    run(stage_started{0, attempt});
    run.fail(0, fault::lost_node, attempt);
  }
  run(stage_started{0, attempt});
  run.fail(0, fault::lost_node, attempt);
  EXPECT_EQ(run.run.at(0).state, stage_state::backing_off);
  EXPECT_EQ(run.succeed(0, attempt).capture, indices{0});
  EXPECT_EQ(run.run.next_due(), std::nullopt);
}

TEST(Run, NothingOfALostAttemptCountsOnceTheRunHasEndedOrAnInputIsLost) {
  Checked cancelled(chain());
  cancelled(started{});
  cancelled(stage_started{0, 1});
  cancelled.fail(0, fault::lost_node, 1);
  EXPECT_EQ(cancelled(cancel_asked{}).release, (indices{0, 1, 2}));
  EXPECT_FALSE(cancelled.succeed(0, 1).changed);
  EXPECT_FALSE(cancelled(stage_started{0, 1}).changed);

  Checked run(chain());
  run(started{});
  run.succeed(0, 1);
  run(stage_started{1, 1});
  run.fail(1, fault::lost_node, 1);
  run(artifact_lost{0});
  EXPECT_FALSE(run.succeed(1, 1).changed) << "it was made of a file that is gone";
  run.succeed(0, 2);
  EXPECT_FALSE(run(stage_started{1, 1}).changed);
  EXPECT_TRUE(run.succeed(1, 2).changed);
}

// Goal: whatever was written by a head that knew of no coming back stands. Method: what it wrote, event by event.
TEST(Run, TheJournalTellsWhichAttemptWasLost) {
  Checked run(chain());
  const event lost = stage_failed{0, 1, fault::lost_node, "its node was lost", 5};
  for (const auto& e : {event{started{}}, event{stage_started{0, 1}}, lost}) {
    auto read = event_from_json(to_json(e));
    ASSERT_TRUE(read);
    run(*read);
  }
  auto copy = workflow::run::from_json(run.run.shared_plan(), run.run.to_json());
  ASSERT_TRUE(copy);
  EXPECT_TRUE(*copy == run.run);
  EXPECT_TRUE(copy->apply(stage_started{0, 1}).changed);
  for (const auto& e :
       {event{stage_started{0, 2}}, event{stage_failed{0, 2, fault::device, "why", 6}}, event{stage_started{0, 3}}})
    EXPECT_TRUE(run(e).changed);
}

TEST(Run, ASuccessWhoseStartWasNotToldCounts) {
  Checked run(chain());
  run(started{});
  auto out = run.succeed(0, 9);
  EXPECT_EQ(out.capture, indices{0});
  EXPECT_EQ(out.withdraw, indices{0}) << "the scheduler may have it waiting";
  EXPECT_EQ(run.run.at(0).attempt, 9u);
}

TEST(Run, ASuccessWithoutANeededFileDoesNotFit) {
  Checked run(film());
  run(started{});
  EXPECT_EQ(run.run.missing_output(0, {}), "video");
  EXPECT_FALSE(run(stage_succeeded{0, 1, {}}).changed);
  Checked bench(planned(shipped("bench-chain")));
  bench(started{});
  for (std::uint32_t i = 0; i < 4; ++i)
    EXPECT_TRUE(bench(stage_succeeded{i, 1, {}}).changed) << "a file that is not always made is not missed";
  EXPECT_EQ(bench.run.now(), phase::succeeded);
}

TEST(Run, ALostFileIsMadeAgainAndNotPaidAgain) {
  Checked run(join());
  run(started{});
  run.succeed(0);
  run.succeed(1);
  run(stage_started{2, 1});
  auto out = run(artifact_lost{0});
  EXPECT_EQ(out.withdraw, indices{2});
  EXPECT_EQ(run.run.at(2).state, stage_state::waiting);
  EXPECT_EQ(run.run.ready(0), indices{0});
  EXPECT_FALSE(run.run.is_current(2, 1))
      << "a repeat of the report that the file is missing can be told from a new one";
  EXPECT_FALSE(run(artifact_lost{0}).changed);
  EXPECT_FALSE(run.succeed(2, 1).changed) << "its attempt was withdrawn";
  EXPECT_FALSE(run.succeed(0, 1).changed) << "a repeat of the old report";
  EXPECT_TRUE(run.succeed(0, 2).capture.empty());
  EXPECT_EQ(run.run.ready(0), indices{2});
  EXPECT_EQ(run.succeed(2, 2).capture, indices{2});
  EXPECT_EQ(run.run.now(), phase::succeeded);
}

TEST(Run, ALostFileOfAFinishedDependentsStageLeavesThatAlone) {
  Checked run(chain());
  run(started{});
  run.succeed(0);
  run.succeed(1);
  EXPECT_TRUE(run(artifact_lost{0}).withdraw.empty());
  EXPECT_EQ(run.run.at(1).state, stage_state::succeeded);
  EXPECT_EQ(run.run.ready(0), (indices{0, 2}));
}

TEST(Run, FilesThatAreLostAgainAndAgainEndTheRun) {
  Checked run(chain());
  run(started{});
  std::uint64_t attempt = 1;
  for (std::uint32_t i = 0; i <= run::limits::lost_artifacts_max; ++i) {
    ASSERT_FALSE(run.run.ended());
    run.succeed(0, attempt++);
    run(artifact_lost{0});
  }
  EXPECT_EQ(run.run.now(), phase::failed);
}

TEST(Run, AFinishedRunCanMakeAStageAgainForNothing) {
  Checked run(chain());
  run(started{});
  EXPECT_FALSE(run(rerun{0}).changed) << "not finished";
  for (std::uint32_t i = 0; i < 3; ++i)
    run.succeed(i);
  EXPECT_FALSE(run(artifact_lost{2}).changed);
  EXPECT_TRUE(run(rerun{2}).changed);
  EXPECT_EQ(run.run.now(), phase::running);
  EXPECT_EQ(run.run.ready(0), indices{2});
  run(stage_started{2, 2});
  EXPECT_EQ(run.succeed(2, 2), (effects{true, {}, {}, {}}));
  EXPECT_EQ(run.run.now(), phase::succeeded);
}

TEST(Run, AnIndexOutOfRangeChangesNothing) {
  Checked run(chain());
  run(started{});
  EXPECT_FALSE(run(stage_started{99, 1}).changed);
  EXPECT_FALSE(run(stage_failed{99, 1, fault::unknown, "", 0}).changed);
  EXPECT_FALSE(run(artifact_lost{99}).changed);
  EXPECT_FALSE(run(stage_succeeded{99, 1, {}}).changed);
}

TEST(Run, ProgressCountsStagesAndTheirFractions) {
  Checked run(join());
  run(started{});
  run.succeed(0);
  run(stage_started{1, 1});
  EXPECT_DOUBLE_EQ(run.run.progress({{1, 0.5}}), 0.5);
  EXPECT_DOUBLE_EQ(run.run.progress({{1, 7}, {2, 0.9}}), 2.0 / 3) << "only what runs, and at most all of it";
}

TEST(Run, AMessageIsKeptShortAndWhole) {
  Checked run(chain());
  run(started{});
  std::string text;
  while (text.size() < 3'000)
    text += "ä";
  run(stage_failed{0, 1, fault::unknown, "x" + text, 0});
  EXPECT_LE(run.run.at(0).last_message.size(), run::limits::message_bytes_max);
  EXPECT_TRUE(utf8_length(run.run.at(0).last_message));
}

TEST(RunRecord, ADamagedSnapshotIsRefused) {
  auto plan = chain();
  Checked run(plan);
  run(started{});
  run.succeed(0);
  auto good = run.run.to_json();
  ASSERT_TRUE(run::from_json(plan, good));
  auto flat = good.flatten();
  for (const auto& [path, ignored] : flat.items())
    for (const json& odd : {json(nullptr), json(-1), json("running"), json::object()}) {
      auto bad = good;
      bad[json::json_pointer(path)] = odd;
      auto back = run::from_json(plan, bad);
      if (back)
        back->check_invariants();
    }
  EXPECT_EQ(run::from_json(join(), good).error().code, "corrupt") << "of another plan";
  good["stages"][1]["state"] = "succeeded";
  EXPECT_EQ(run::from_json(plan, good).error().code, "corrupt");
}

TEST(RunRecord, EventsReadBackWhatTheyWrote) {
  auto plan = chain();
  for (const event& e :
       {event{started{}}, event{stage_started{1, 2}}, event{stage_succeeded{0, 3, outputs_of(plan->stages[0])}},
        event{stage_failed{1, 2, fault::lost_node, "gone", 17}}, event{cancel_asked{}}, event{artifact_lost{2}},
        event{rerun{1}}}) {
    auto back = event_from_json(to_json(e));
    ASSERT_TRUE(back);
    EXPECT_EQ(to_json(*back), to_json(e));
  }
  for (const json& odd :
       {json(nullptr), json::object(), json{{"e", "party"}}, json{{"e", "stage_started"}, {"index", "x"}},
        json{{"e", "stage_succeeded"}, {"index", 0}, {"attempt", 1}, {"outputs", {{{"port", 1}}}}}})
    EXPECT_FALSE(event_from_json(odd)) << odd;
}

} // namespace
} // namespace troupe::workflow
