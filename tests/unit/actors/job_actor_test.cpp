#include "tests/unit/actors/job_actor_fixture.hpp"

namespace troupe::testing {

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

TEST_F(JobActor, AsksForTheMemoryThatItsWorkflowSaysAndToRunWhereItsInputsWereMade) {
  activate();
  submit(100);
  EXPECT_EQ(told.newest.vram_mib, 4096u);
  EXPECT_TRUE(told.newest.near.empty());
  place(0, 1);
  ASSERT_TRUE(finish(0, 1));
  EXPECT_EQ(told.newest.ref.stage, 1u);
  EXPECT_EQ(told.newest.near, (std::vector<node_id>{{"n"}}));
  EXPECT_EQ(told.newest.vram_mib, 0u) << "its workflow does not say";
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

} // namespace troupe::testing
