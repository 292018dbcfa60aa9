#include "tests/unit/actors/job_actor_fixture.hpp"

namespace troupe::testing {

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

} // namespace troupe::testing
