#include "tests/unit/actors/job_actor_fixture.hpp"

namespace troupe::testing {

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

TEST_F(JobActor, KeepsAStageFromADeviceThatFailedItOrThatItDoesNotSuit) {
  submit(100);
  std::uint64_t attempt = 0;
  for (const char* fault : {"lost_node", "device", "unsuited"}) { // who was lost may come back
    place(0, ++attempt);
    fail(0, attempt, fault);
    EXPECT_EQ(told.newest.excluded, std::vector<device_id>(attempt - 1, {"n/cpu0"})) << fault;
  }
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

// The scheduler has what lost its node waiting again; of what backs off or has failed it must hear that.
TEST_F(JobActor, ANodeThatIsLostTooOftenIsAFailureLikeAnother) {
  backoff_ms = 1'000;
  submit(100);
  std::uint64_t attempt = 0;
  auto place_and_lose = [&] {
    ASSERT_TRUE(place(0, ++attempt));
    ASSERT_TRUE(lose(0, attempt));
  };
  while (attempt < workflow::run::limits::lost_nodes_max)
    place_and_lose();
  EXPECT_TRUE(told.withdrawn.empty());
  const auto before = told.queued.size();
  place_and_lose();
  EXPECT_EQ(waiting()["stages"][0]["code"], "backing_off");
  EXPECT_EQ(told.withdrawn, (withdrawals{{0, 11}}));
  EXPECT_EQ(told.queued.size(), before);
  wall_clock_shift_ms = 1'000;
  pass(std::chrono::seconds(1));
  EXPECT_EQ(told.queued.size(), before + 1) << "it has waited for its next attempt";
  place_and_lose();
  EXPECT_EQ(status(), "failed") << "two attempts are what the stage says";
  EXPECT_EQ(told.withdrawn, (withdrawals{{0, 11}, {0, 12}}));
}

// Goal: nobody has begun it anew, so what its lost node had finished counts, once, and is waited for no more.
TEST_F(JobActor, TakesWhatALostNodeHadFinished) {
  submit(100);
  ASSERT_TRUE(place(0, 1));
  ASSERT_TRUE(lose(0, 1));
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(money().spent, credits(5));
  EXPECT_EQ(told.withdrawn, (withdrawals{{0, 1}})) << "the scheduler may have it waiting";
  EXPECT_EQ(told.queued.back(), 1u) << "the next stage";
  EXPECT_FALSE(place(0, 2)) << "a placement that was on its way";
  EXPECT_FALSE(lose(0, 1)) << "as was this";
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(money().spent, credits(5)) << "told twice";
  ASSERT_TRUE(place(1, 3));
  ASSERT_TRUE(finish(1, 3));
  EXPECT_EQ(status(), "succeeded");
}

TEST_F(JobActor, TakesBackWhatALostNodeStillRuns) {
  submit(100);
  ASSERT_TRUE(place(0, 1));
  keep_a_start();
  ASSERT_TRUE(lose(0, 1));
  wall_clock_shift_ms = 60'000;
  auto taken = cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 1});
  ASSERT_TRUE(taken);
  EXPECT_GE(taken->value["for_ms"].get<std::int64_t>(), 60'000) << "its time-out counts from when it began";
  EXPECT_EQ(told.reattached, 1u);
  auto stage = cluster.ask(job, describe_job{"j"})->value["stages"][0];
  EXPECT_EQ(stage["status"], "running");
  EXPECT_EQ(stage["attempts"], 1) << "it is the same one";
  EXPECT_FALSE(place(0, 2));
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(money().spent, credits(5));
  EXPECT_TRUE(told.withdrawn.empty());
}

TEST_F(JobActor, TakesALostAttemptBackOverARestart) {
  submit(100);
  ASSERT_TRUE(place(0, 1));
  ASSERT_TRUE(lose(0, 1));
  activate();
  ASSERT_TRUE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 1}));
  ASSERT_TRUE(lose(0, 1));
  activate();
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, ThatALostAttemptFailedIsNoFailureOfItsStage) {
  attempts = 1;
  submit(100);
  ASSERT_TRUE(place(0, 1));
  ASSERT_TRUE(lose(0, 1));
  const auto before = told.queued.size();
  ASSERT_TRUE(fail(0, 1, "unknown")) << "the node may forget it";
  EXPECT_EQ(told.queued.size(), before + 1) << "with the attempt the scheduler has forgotten the stage";
  EXPECT_EQ(status(), "running");
  ASSERT_TRUE(place(0, 2));
  ASSERT_TRUE(finish(0, 2));
}

TEST_F(JobActor, DropsALostAttemptOnceALaterOneHasStarted) {
  submit(100);
  ASSERT_TRUE(place(0, 1));
  ASSERT_TRUE(lose(0, 1));
  ASSERT_TRUE(place(0, 2));
  EXPECT_FALSE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 1})) << "its node is told to stop it";
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(money().spent, 0);
  ASSERT_TRUE(finish(0, 2));
  EXPECT_EQ(money().spent, credits(5));
  EXPECT_TRUE(told.withdrawn.empty());
}

TEST_F(JobActor, TakesNothingOfALostAttemptOnceItIsCancelled) {
  submit(100);
  ASSERT_TRUE(place(0, 1));
  ASSERT_TRUE(lose(0, 1));
  ASSERT_TRUE(cluster.ask(job, cancel_job{"j", 2000}));
  EXPECT_FALSE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 1}));
  EXPECT_TRUE(finish(0, 1)) << "the node may forget it";
  EXPECT_EQ(status(), "cancelled");
  EXPECT_EQ(money().spent, 0);
}

// The scheduler runs the second, of which the run knows nothing.
TEST_F(JobActor, ALostFirstAttemptThatSucceedsStopsTheSecond) {
  auto plan = *plan_of_two(1, 0);
  plan.stages[0].speculative = true;
  submit(100, std::make_shared<const workflow::plan>(std::move(plan)));
  ASSERT_TRUE(place(0, 1));
  ASSERT_TRUE(cluster.ask(job, place_stage{"j", 0, "m/cpu0", 2, true}));
  ASSERT_TRUE(lose(0, 1));
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(told.withdrawn, (withdrawals{{0, 2}}));
  EXPECT_EQ(money().spent, credits(5));
}

TEST_F(JobActor, WhatIsStoppedForOthersIsQueuedAgainHoweverOften) {
  attempts = 1;
  submit(100);
  std::uint64_t attempt = 1;
  for (; attempt <= 30; ++attempt) {
    ASSERT_TRUE(place(0, attempt));
    ASSERT_TRUE(fail(0, attempt, "stopped"));
    ASSERT_EQ(told.queued.size(), attempt + 1);
  }
  ASSERT_TRUE(place(0, attempt));
  ASSERT_TRUE(finish(0, attempt));
  EXPECT_EQ(money().spent, credits(5));
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

TEST_F(JobActor, AnAttemptThatACrashForgotIsTakenBack) {
  submit(100);
  activate(); // the start was never written
  ASSERT_TRUE(cluster.ask(job, stage_reattached{"j", 0, "n/cpu0", 7}));
  ASSERT_TRUE(finish(0, 7));
  EXPECT_EQ(money().spent, credits(5));
}

} // namespace troupe::testing
