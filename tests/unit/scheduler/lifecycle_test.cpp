#include "world.hpp"

namespace troupe::scheduling::testing {

using st = stage_builder;
using ::testing::HasSubstr;

TEST(attempts, rise_with_each_start_and_over_restarts) {
  world before({}, 1), after({}, 2);
  before.device("a/cpu0", 2);
  after.device("a/cpu0", 2);
  auto one = only<start>(before.queue(st("one")))->attempt;
  auto two = only<start>(before.queue(st("two")))->attempt;
  EXPECT_LT(one, two);
  EXPECT_LT(two, only<start>(after.queue(st("three")))->attempt);
}

TEST(attempts, are_above_what_the_job_has_seen) {
  world w({}, 1);
  w.device("a/cpu0");
  st stage("film");
  stage.asked.attempt_base = std::uint64_t{9} << 32;
  EXPECT_GT(only<start>(w.queue(stage))->attempt, stage.asked.attempt_base);
}

TEST(attempts, a_late_report_of_an_earlier_one_changes_nothing) {
  world w;
  w.device("a/cpu0");
  w.queue(st("film"));
  auto first = w.running.at({{"film"}, 0});
  w.tell(device_down{{"a/cpu0"}});
  w.device("b/cpu0");
  ASSERT_EQ(w.place_of("film"), "b/cpu0");
  EXPECT_TRUE(w.tell(stage_ended{first.ref, first.attempt, first.device, outcome::ok, 10}).empty());
  EXPECT_EQ(w.place_of("film"), "b/cpu0");
}

TEST(attempts, a_report_from_a_device_that_does_not_run_the_stage_changes_nothing) {
  world w;
  w.device("a/cpu0");
  w.queue(st("film"));
  w.tell(stage_ended{{{"film"}, 0}, w.running.begin()->second.attempt, {"b/cpu0"}, outcome::ok, 10});
  EXPECT_EQ(w.core.running(), 1u);
}

TEST(device_loss, moves_what_ran_there_to_another_device) {
  world w;
  w.device("a/cpu0");
  w.queue(st("film"));
  w.device("b/cpu0");
  auto out = w.tell(device_down{{"a/cpu0"}});
  EXPECT_EQ(only<moved>(out)->device.value, "a/cpu0");
  EXPECT_EQ(only<start>(out)->device.value, "b/cpu0");
}

TEST(device_loss, puts_the_stage_first_in_its_accounts_line) {
  world w;
  w.device("a/cpu0");
  w.queue(st("first"));
  w.queue(st("second"));
  w.tell(device_down{{"a/cpu0"}});
  EXPECT_EQ(*w.core.position({{"first"}, 0}), 1u);
  EXPECT_EQ(*w.core.position({{"second"}, 0}), 2u);
}

TEST(device_loss, is_told_to_the_stages_job_each_time_as_the_job_counts_them) {
  world w;
  w.queue(st("poison"));
  for (int i = 0; i < 30; ++i) {
    w.device("a/cpu0");
    auto out = w.tell(device_down{{"a/cpu0"}});
    ASSERT_EQ(out.size(), 1u);
    ASSERT_EQ(only<moved>(out)->ref.job.value, "poison") << "after " << i << " others";
    ASSERT_EQ(w.core.queue_length(), 1u);
  }
}

TEST(device_loss, takes_the_attempt_back_when_the_device_returns_with_it) {
  world w;
  w.device("a/cpu0");
  w.queue(st("film"));
  auto first = w.running.begin()->second;
  w.tell(device_down{{"a/cpu0"}});
  auto out = w.tell(stage_running{st("film").asked, {"a/cpu0"}, first.attempt});
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(w.device("a/cpu0").empty()) << "its slot is taken";
  w.tell(stage_ended{first.ref, first.attempt, first.device, outcome::ok, 10});
  EXPECT_EQ(w.core.queue_length() + w.core.running(), 0u);
}

TEST(device_loss, accepts_the_end_of_an_attempt_that_was_thought_lost) {
  world w;
  w.device("a/cpu0");
  w.queue(st("film"));
  auto first = w.running.begin()->second;
  w.tell(device_down{{"a/cpu0"}});
  w.tell(stage_ended{first.ref, first.attempt, first.device, outcome::ok, 10});
  EXPECT_EQ(w.core.queue_length(), 0u);
}

TEST(device_loss, stops_the_old_attempt_when_the_stage_already_runs_elsewhere) {
  world w;
  w.device("a/cpu0");
  w.queue(st("film"));
  auto first = w.running.begin()->second;
  w.device("b/cpu0");
  w.tell(device_down{{"a/cpu0"}});
  auto out = w.tell(stage_running{st("film").asked, {"a/cpu0"}, first.attempt});
  EXPECT_EQ(only<stop>(out)->attempt, first.attempt);
  EXPECT_EQ(only<stop>(out)->device.value, "a/cpu0");
  EXPECT_EQ(w.place_of("film"), "b/cpu0");
}

TEST(restart, takes_back_what_still_runs_before_its_device_is_known) {
  world w({}, 7);
  auto attempt = (std::uint64_t{6} << 32) + 12;
  EXPECT_TRUE(w.tell(stage_running{st("film").asked, {"a/cpu0"}, attempt}).empty());
  w.queue(st("next"));
  EXPECT_TRUE(w.device("a/cpu0", 1).empty()) << "the one slot is taken";
  EXPECT_EQ(w.place_of("film"), "a/cpu0");
  auto out = w.tell(stage_ended{{{"film"}, 0}, attempt, {"a/cpu0"}, outcome::ok, 5});
  EXPECT_EQ(only<start>(out)->ref.job.value, "next");
}

TEST(restart, runs_elsewhere_what_a_device_that_never_came_back_was_said_to_run) {
  world w({}, 7);
  w.tell(stage_running{st("film").asked, {"a/cpu0"}, 12});
  w.device("b/cpu0");
  w.now += limits{}.reattach_ms - 1;
  EXPECT_TRUE(w.tell(tick{}).empty());
  w.now += 1;
  EXPECT_EQ(only<start>(w.tell(tick{}))->device.value, "b/cpu0");
}

device_up with_held(const std::string& device, const stage_ref& ref, std::uint64_t attempt) {
  return device_up{{device}, {"a"}, "cpu", {"null.work"}, 2, 0, {{ref, attempt}}};
}

TEST(restart, takes_back_what_a_device_says_it_runs_where_the_stage_waits_here) {
  world w({}, 7);
  w.queue(st("film"));
  EXPECT_TRUE(w.tell(with_held("a/cpu0", {{"film"}, 0}, 12)).empty());
  EXPECT_EQ(w.core.running_at({{"film"}, 0})->attempt, 12u);
}

TEST(restart, does_not_believe_a_number_that_was_not_given_out_yet) {
  world w({}, 7);
  w.queue(st("film"));
  auto lie = (std::uint64_t{1} << 53) - 1;
  auto out = w.tell(with_held("liar/cpu0", {{"film"}, 0}, lie));
  EXPECT_EQ(only<stop>(out)->attempt, lie);
  EXPECT_EQ(only<start>(out)->device.value, "liar/cpu0") << "it waits as before";
  EXPECT_LT(only<start>(out)->attempt, std::uint64_t{8} << 32) << "and its number is one of this head's";
  auto other = w.tell(stage_running{st("other").asked, {"liar/cpu0"}, lie});
  EXPECT_EQ(only<stop>(other)->attempt, lie);
  EXPECT_FALSE(w.core.running_at({{"other"}, 0}));
}

TEST(restart, gives_a_device_nothing_new_until_what_it_runs_is_claimed) {
  world w({}, 7);
  w.queue(st("other"));
  EXPECT_TRUE(w.tell(with_held("a/cpu0", {{"film"}, 0}, 12)).empty());
  EXPECT_EQ(w.why("other"), "reattaching");
  auto out = w.tell(stage_running{st("film").asked, {"a/cpu0"}, 12});
  EXPECT_EQ(only<start>(out)->ref.job.value, "other");
  EXPECT_EQ(w.core.running(), 2u);
}

TEST(restart, gives_a_device_work_again_when_what_nobody_wanted_has_ended_or_for_too_long) {
  world w({}, 7);
  w.queue(st("other"));
  w.tell(with_held("a/cpu0", {{"film"}, 0}, 12));
  auto out = w.tell(stage_ended{{{"film"}, 0}, 12, {"a/cpu0"}, outcome::cancelled, 0});
  EXPECT_EQ(only<start>(out)->ref.job.value, "other");

  world late({}, 7);
  late.queue(st("other"));
  late.tell(with_held("a/cpu0", {{"film"}, 0}, 12));
  late.now += limits{}.reattach_ms;
  EXPECT_EQ(only<start>(late.tell(tick{}))->ref.job.value, "other");
}

TEST(restart, stops_what_a_device_runs_of_a_stage_that_runs_elsewhere) {
  world w({}, 7);
  w.device("b/cpu0");
  w.queue(st("film"));
  auto out = w.tell(with_held("a/cpu0", {{"film"}, 0}, 12));
  EXPECT_EQ(only<stop>(out)->attempt, 12u);
  EXPECT_EQ(w.place_of("film"), "b/cpu0");
}

TEST(queueing, counts_a_stage_once_though_it_is_told_twice) {
  world w;
  w.queue(st("film"));
  EXPECT_TRUE(w.queue(st("film")).empty());
  EXPECT_EQ(w.core.queue_length(), 1u);
  w.device("a/cpu0", 4);
  EXPECT_TRUE(w.queue(st("film")).empty());
  EXPECT_EQ(w.core.running(), 1u);
}

TEST(queueing, refuses_with_a_reason_when_a_line_is_full) {
  limits bounds;
  bounds.queue_max = 3;
  bounds.queue_per_account = 2;
  world w(bounds);
  w.queue(st("a1"));
  w.queue(st("a2"));
  auto out = only<reject>(w.queue(st("a3")));
  EXPECT_EQ(out->code, "account_queue_full");
  EXPECT_GE(out->retry_after_ms, 1000);
  w.queue(st("b1").of("bob"));
  EXPECT_EQ(only<reject>(w.queue(st("c1").of("carol")))->code, "queue_full");
  EXPECT_EQ(w.core.queue_length(), 3u);
}

TEST(queueing, refuses_senseless_requests) {
  world w;
  EXPECT_EQ(only<reject>(w.queue(st("film").weighing(0)))->code, "invalid");
  EXPECT_EQ(only<reject>(w.queue(st("")))->code, "invalid");
  EXPECT_EQ(only<reject>(w.queue(st("film").kind(std::string(1000, 'x'))))->code, "invalid");
  st forged("film");
  forged.asked.attempt_base = UINT64_MAX;
  EXPECT_EQ(only<reject>(w.queue(forged))->code, "invalid");
  EXPECT_EQ(w.core.queue_length(), 0u);
}

TEST(withdrawing, takes_a_waiting_stage_out) {
  world w;
  w.queue(st("one"));
  w.queue(st("two"));
  EXPECT_TRUE(w.tell(stage_withdrawn{{{"one"}, 0}}).empty());
  EXPECT_EQ(w.core.queue_length(), 1u);
  w.device("a/cpu0", 4);
  EXPECT_EQ(w.running.size(), 1u);
}

TEST(withdrawing, stops_a_running_stage_and_frees_its_slot_when_it_has_ended) {
  world w;
  w.device("a/cpu0");
  w.queue(st("one"));
  w.queue(st("two"));
  auto out = w.tell(stage_withdrawn{{{"one"}, 0}});
  EXPECT_EQ(only<stop>(out)->ref.job.value, "one");
  EXPECT_FALSE(only<start>(out).has_value()) << "it is still running";
  EXPECT_TRUE(w.tell(stage_withdrawn{{{"one"}, 0}}).empty());
  EXPECT_EQ(only<reject>(w.queue(st("one")))->code, "stopping");
  EXPECT_EQ(only<start>(w.end("one", outcome::cancelled))->ref.job.value, "two");
}

TEST(withdrawing, leaves_alone_an_attempt_that_was_given_since) {
  world w;
  w.device("a/cpu0");
  w.queue(st("one"));
  auto attempt = w.running.begin()->second.attempt;
  EXPECT_TRUE(w.tell(stage_withdrawn{{{"one"}, 0}, attempt - 1}).empty());
  auto out = w.tell(stage_withdrawn{{{"one"}, 0}, attempt});
  EXPECT_EQ(only<stop>(out)->attempt, attempt);
}

TEST(withdrawing, forgets_the_stage_when_its_device_is_lost_meanwhile) {
  world w;
  w.device("a/cpu0");
  w.queue(st("one"));
  w.tell(stage_withdrawn{{{"one"}, 0}});
  EXPECT_TRUE(w.tell(device_down{{"a/cpu0"}}).empty());
  EXPECT_EQ(w.core.queue_length() + w.core.running(), 0u);
}

TEST(draining, lets_what_runs_finish_and_starts_nothing_new_also_where_it_joins_so) {
  world w;
  w.device("a/cpu0", 2);
  w.queue(st("one"));
  w.tell(device_drain{{"a/cpu0"}});
  w.queue(st("two"));
  EXPECT_EQ(w.place_of("one"), "a/cpu0");
  EXPECT_EQ(w.why("two"), "draining");
  w.end("one");
  w.tell(device_down{{"a/cpu0"}});
  w.tell(device_drain{{"a/cpu0"}});
  device_up again{{"a/cpu0"}, {"a"}, "cpu", {"null.work"}, 2};
  again.draining = true;
  w.tell(again);
  EXPECT_EQ(w.place_of("two"), "");
  w.tell(device_enable{{"a/cpu0"}});
  EXPECT_EQ(w.place_of("two"), "a/cpu0");
}

// What the operator wants is said when a device joins; what was said before may be of a device that was removed since.
TEST(draining, is_over_for_a_device_that_joins_enabled) {
  for (auto quarantined : {false, true}) {
    world w;
    w.device("a/cpu0");
    w.tell(device_drain{{"a/cpu0"}, quarantined});
    w.tell(device_down{{"a/cpu0"}});
    w.queue(st("film"));
    w.device("a/cpu0");
    EXPECT_EQ(w.place_of("film"), "a/cpu0");
  }
}

TEST(quarantine, after_failures_outlives_a_reconnect) {
  world w;
  w.device("a/cpu0");
  for (const auto* job : {"one", "two", "three"}) {
    w.queue(st(job));
    w.end(job, outcome::device_fault);
  }
  w.tell(device_down{{"a/cpu0"}});
  w.device("a/cpu0");
  w.queue(st("film"));
  EXPECT_EQ(w.why("film"), "quarantined");
  w.tell(device_enable{{"a/cpu0"}});
  EXPECT_EQ(w.place_of("film"), "a/cpu0");
}

TEST(quarantine, takes_a_device_out_that_fails_three_stages_of_two_jobs) {
  world w;
  w.device("a/cpu0");
  for (const auto* job : {"one", "two", "three", "four"})
    w.queue(st(job));
  EXPECT_FALSE(only<quarantined>(w.end("one", outcome::device_fault)));
  EXPECT_FALSE(only<quarantined>(w.end("two", outcome::device_fault)));
  auto out = w.end("three", outcome::device_fault);
  EXPECT_EQ(only<quarantined>(out)->device.value, "a/cpu0");
  EXPECT_FALSE(only<start>(out).has_value());
  EXPECT_EQ(w.why("four"), "quarantined");
  w.tell(device_enable{{"a/cpu0"}});
  EXPECT_EQ(w.place_of("four"), "a/cpu0");
}

TEST(quarantine, does_not_blame_the_device_for_one_bad_job) {
  world w;
  w.device("a/cpu0");
  for (int i = 0; i < 5; ++i) {
    w.queue(st("bad"));
    EXPECT_FALSE(only<quarantined>(w.end("bad", outcome::device_fault)));
  }
}

TEST(quarantine, forgives_after_a_success_and_blames_only_faults_of_the_device) {
  world w;
  w.device("a/cpu0");
  for (int i = 0; i < 12; ++i) {
    auto job = "j" + std::to_string(i);
    w.queue(st(job));
    auto how = i % 3 == 2 ? outcome::ok : outcome::device_fault;
    EXPECT_FALSE(only<quarantined>(w.end(job, how)));
  }
  for (int i = 0; i < 12; ++i) {
    w.queue(st("film"));
    EXPECT_FALSE(only<quarantined>(w.end("film", outcome::bad_input)));
  }
}

TEST(quarantine, ends_by_time_and_comes_back_with_the_next_failure) {
  world w;
  w.device("a/cpu0");
  for (const auto* job : {"one", "two", "three"}) {
    w.queue(st(job));
    w.end(job, outcome::device_fault);
  }
  w.now += limits{}.quarantine_ms;
  EXPECT_EQ(only<released>(w.tell(tick{}))->device.value, "a/cpu0");
  w.queue(st("four"));
  EXPECT_TRUE(only<quarantined>(w.end("four", outcome::device_fault)).has_value());
}

TEST(quarantine, by_an_operator_ends_with_his_word_and_not_by_time) {
  world w;
  w.device("a/cpu0");
  w.tell(device_drain{{"a/cpu0"}, true});
  w.queue(st("film"));
  EXPECT_EQ(w.why("film"), "quarantined");
  w.now += 10'000'000;
  w.tell(tick{});
  EXPECT_EQ(w.why("film"), "quarantined");
  w.tell(device_drain{{"a/cpu0"}});
  EXPECT_EQ(w.why("film"), "draining");
  w.tell(device_enable{{"a/cpu0"}});
  EXPECT_EQ(w.place_of("film"), "a/cpu0");
}

TEST(exclusion, keeps_a_stage_from_a_device_that_failed_it_while_another_could_run_it) {
  world w;
  w.device("a/cpu0", 4);
  w.device("b/cpu0");
  w.queue(st("other").without("a/cpu0"));
  w.queue(st("film").without("a/cpu0"));
  EXPECT_EQ(w.place_of("other"), "b/cpu0");
  EXPECT_EQ(w.place_of("film"), "");
  EXPECT_EQ(w.why("film"), "busy");
  w.end("other");
  EXPECT_EQ(w.place_of("film"), "b/cpu0");
}

// Goal: a stage never waits for a device that does not come back while one that failed it could run it. Method: the
// other one goes in each way a device can go, after the stage was queued.
TEST(exclusion, ends_when_the_other_device_goes) {
  const std::vector<std::pair<std::string, event>> ways = {
      {"down", device_down{{"b/cpu0"}}},
      {"draining", device_drain{{"b/cpu0"}}},
      {"smaller", device_up{{"b/cpu0"}, {"b"}, "cuda", {"null.work"}, 1, 500}},
      {"of other use", device_up{{"b/cpu0"}, {"b"}, "cuda", {"null.other"}, 1, 8'000}}};
  for (const auto& [how, goes] : ways) {
    SCOPED_TRACE(how);
    world w;
    w.device("a/cpu0", 1, 8'000);
    w.device("b/cpu0", 1, 8'000);
    w.queue(st("other").without("a/cpu0").vram(1'000));
    w.queue(st("film").without("a/cpu0").vram(1'000));
    EXPECT_EQ(w.place_of("film"), "");
    w.tell(goes);
    EXPECT_EQ(w.place_of("film"), "");
    w.tell(tick{});
    EXPECT_EQ(w.place_of("film"), "a/cpu0");
  }
}

TEST(exclusion, ends_when_the_other_device_is_quarantined_and_holds_again_when_it_is_enabled) {
  world w;
  w.device("a/cpu0");
  w.device("b/cpu0");
  w.queue(st("long")); // on one of them; the other is kept busy below
  auto busy = w.place_of("long");
  auto other = std::string(busy == "a/cpu0" ? "b/cpu0" : "a/cpu0");
  for (const auto* job : {"one", "two", "three"}) {
    w.queue(st(job));
    w.end(job, outcome::device_fault);
  }
  w.queue(st("film").without(busy));
  EXPECT_EQ(w.core.inspect()["buckets"][0]["excluded"].size(), 0u) << "the other is no device to wait for";
  w.tell(device_enable{{other}});
  EXPECT_EQ(w.place_of("film"), other);
}

TEST(exclusion, holds_again_when_another_device_comes) {
  world w;
  w.device("a/cpu0");
  w.queue(st("long"));
  w.queue(st("film").without("a/cpu0"));
  w.device("b/cpu0", 1, 0, {"null.work"});
  EXPECT_EQ(w.place_of("film"), "b/cpu0") << "it has room, and takes whatever waits";
  w.queue(st("second").without("a/cpu0"));
  w.tell(tick{});
  w.end("long");
  EXPECT_EQ(w.place_of("second"), "") << "a/cpu0 failed it";
  w.end("film");
  EXPECT_EQ(w.place_of("second"), "b/cpu0");
}

TEST(exclusion, by_lack_of_memory_asks_for_more_than_the_device_has_while_there_is_more) {
  world w;
  w.device("a/cuda0", 4, 8'000);
  w.device("b/cuda0", 1, 24'000, {"null.other"});
  auto film = st("film").vram(5'000).without("a/cuda0");
  film.asked.outgrown = {{"a/cuda0"}, {"unknown/cuda0"}};
  w.queue(film);
  EXPECT_EQ(w.place_of("film"), "a/cuda0") << "none that offers the kind is larger";
  w.end("film", outcome::out_of_memory);
  w.device("c/cuda0", 1, 12'000);
  w.queue(st("long").vram(10'000));
  ASSERT_EQ(w.place_of("long"), "c/cuda0");
  w.queue(film);
  EXPECT_EQ(w.place_of("film"), "") << "it waits for the larger one";
  w.tell(device_drain{{"c/cuda0"}});
  w.tell(tick{});
  EXPECT_EQ(w.place_of("film"), "a/cuda0") << "which is no more";
}

TEST(why_waiting, says_what_is_missing) {
  limits bounds;
  bounds.in_flight_per_account = 1;
  world w(bounds);
  auto text = [&](const std::string& job) { return w.core.why_waiting({{job}, 0})->text; };
  w.queue(st("film").vram(40'000));
  EXPECT_EQ(text("film"), "no device that is up offers null.work");
  w.device("a/gpu", 1, 24'000);
  EXPECT_EQ(text("film"),
            "it needs 40000 MiB of device memory; the largest device that offers null.work has 24000 MiB");
  w.queue(st("small"));
  w.queue(st("second"));
  EXPECT_EQ(text("second"), "the account has 1 stages running, and 1 is its limit");
  w.queue(st("bobs").of("bob"));
  EXPECT_EQ(text("bobs"), "the one device that offers null.work is busy; it is number 1 in line");
  EXPECT_FALSE(w.core.why_waiting({{"small"}, 0}).has_value()) << "it runs";
  EXPECT_FALSE(w.core.why_waiting({{"nobody"}, 0}).has_value());
}

TEST(position, counts_the_own_line_and_the_turns_of_others) {
  world w;
  for (int i = 0; i < 4; ++i)
    w.queue(st("a" + std::to_string(i)));
  EXPECT_EQ(*w.core.position({{"a3"}, 0}), 4u);
  for (int i = 0; i < 4; ++i)
    w.queue(st("b" + std::to_string(i)).of("bob"));
  EXPECT_EQ(*w.core.position({{"a0"}, 0}), 1u);
  EXPECT_EQ(*w.core.position({{"b0"}, 0}), 2u);
  EXPECT_EQ(*w.core.position({{"a3"}, 0}), 7u);
  EXPECT_FALSE(w.core.position({{"nobody"}, 0}).has_value());
}

TEST(eta, is_unknown_where_nothing_could_run_the_stage) {
  world w;
  w.queue(st("film").takes(2000));
  EXPECT_FALSE(w.core.eta_ms({{"film"}, 0}).has_value());
  w.device("a/cpu0", 2);
  for (int i = 0; i < 5; ++i)
    w.queue(st("f" + std::to_string(i)).takes(2000));
  EXPECT_EQ(*w.core.eta_ms({{"f4"}, 0}), 4000); // fourth in line, two at a time
}

TEST(eta, is_unknown_for_what_no_device_could_begin) {
  world w;
  w.device("a/gpu", 1, 24'000);
  w.queue(st("large").vram(40'000));
  EXPECT_EQ(w.why("large"), "too_large");
  EXPECT_FALSE(w.core.eta_ms({{"large"}, 0}).has_value());
  w.tell(device_drain{{"a/gpu"}});
  w.queue(st("small").vram(1'000));
  EXPECT_EQ(w.why("small"), "draining");
  EXPECT_FALSE(w.core.eta_ms({{"small"}, 0}).has_value());
}

// Slow devices beside a fast one, in either order: what they do together counts.
TEST(eta, counts_each_sort_of_device_by_what_it_does) {
  for (auto fast_first : {true, false}) {
    world w;
    auto learn = [&](const std::string& device, std::uint32_t slots, std::uint32_t vram, std::uint32_t run_ms) {
      w.device(device, slots, vram);
      w.queue(st("past-" + device));
      w.end("past-" + device, outcome::ok, run_ms);
      w.tell(device_drain{{device}});
    };
    if (fast_first)
      learn("gpu/cuda0", 1, 24'000, 10'000);
    learn("cpu/cpu0", 15, 0, 300'000);
    if (!fast_first)
      learn("gpu/cuda0", 1, 24'000, 10'000);
    for (const auto* device : {"gpu/cuda0", "cpu/cpu0"})
      w.tell(device_enable{{device}});
    for (int i = 0; i < 17; ++i)
      w.queue(st("f" + std::to_string(i)));
    EXPECT_NEAR(static_cast<double>(*w.core.eta_ms({{"f16"}, 0})), 1 / (1 / 10'000.0 + 15 / 300'000.0), 2);
  }
}

TEST(inspection, is_bounded) {
  world w;
  for (int i = 0; i < 20; ++i) {
    w.device("n" + std::to_string(i) + "/cpu0");
    w.queue(st("j" + std::to_string(i)).of("u" + std::to_string(i)).model("m" + std::to_string(i)));
  }
  auto seen = w.core.inspect(5);
  EXPECT_EQ(seen["running"], 20);
  EXPECT_EQ(seen["counts"]["devices"], 20);
  for (const auto* list : {"devices", "buckets", "accounts"})
    EXPECT_EQ(seen[list].size(), 5u) << list;
}

// A device tells that an attempt ended, its job that it goes on; the second word may come last.
TEST(lifecycle, an_attempt_whose_end_was_heard_first_takes_no_slot) {
  world w;
  w.device("a/cpu0", 1);
  w.tell(stage_ended{{{"film"}, 0}, 7, {"a/cpu0"}, outcome::ok, 10});
  EXPECT_TRUE(w.tell(stage_running{st("film").asked, {"a/cpu0"}, 7}).empty());
  w.queue(st("next"));
  EXPECT_EQ(w.place_of("next"), "a/cpu0");
}

// A start that is on its way when the device is lost must not be carried out in the device's next life.
TEST(lifecycle, a_start_says_for_which_session_of_its_device_it_is) {
  world w;
  auto up = device_up{{"a/cpu0"}, {"a"}, "cpu", {"null.work"}, 1, 0, {}, 7};
  w.tell(up);
  EXPECT_EQ(only<start>(w.queue(st("film")))->session, 7u);
  w.tell(device_down{{"a/cpu0"}});
  up.session = 8;
  EXPECT_EQ(only<start>(w.tell(up))->session, 8u);
}

// A node lies in its hello, its job refuses it, and the hello itself is heard last.
TEST(lifecycle, an_attempt_whose_end_was_heard_before_its_hello_takes_no_slot) {
  world w;
  w.queue(st("film"));
  w.tell(stage_ended{{{"film"}, 0}, 1, {"liar/cpu0"}, outcome::cancelled, 0});
  w.tell(device_up{{"liar/cpu0"}, {"liar"}, "cpu", {"null.other"}, 2, 0, {{{{"film"}, 0}, 1}}});
  EXPECT_FALSE(w.core.running_at({{"film"}, 0}));
  w.device("good/cpu0");
  EXPECT_EQ(w.place_of("film"), "good/cpu0");
}

// The order to stop it was lost with the line.
TEST(lifecycle, an_attempt_that_ended_and_is_held_in_a_later_hello_keeps_its_slot_until_it_has_ended_again) {
  world w{{}, 2};
  held_attempt held{{{"gone"}, 0}, 5};
  device_up up{{"a/cpu0"}, {"a"}, "cpu", {"null.work"}, 1, 0, {held}};
  up.session = up.hello = 1;
  w.tell(up);
  stage_ended over{held.ref, held.attempt, {"a/cpu0"}, outcome::cancelled, 0, 1};
  w.tell(over);
  w.tell(device_down{{"a/cpu0"}});
  w.queue(st("next"));
  up.session = up.hello = 2;
  EXPECT_FALSE(only<start>(w.tell(up)).has_value()) << "its one slot is taken";
  over.hello = 2;
  EXPECT_EQ(only<start>(w.tell(over))->ref.job.value, "next");
}

// What one device says to have ended is not over on the device that runs it.
TEST(lifecycle, an_end_told_by_another_device_ends_nothing) {
  world w;
  w.tell(stage_ended{{{"film"}, 0}, 7, {"liar/cpu0"}, outcome::cancelled, 0});
  w.tell(stage_running{st("film").asked, {"good/cpu0"}, 7});
  EXPECT_EQ(w.place_of("film"), "good/cpu0");
}

// Goal: what a node makes up does not pile up. Method: it says again and again that it is of another type and can do
// something else; a stage that only one of the last can run still runs.
TEST(lifecycle, a_node_that_is_something_else_each_time_fills_no_memory) {
  world w;
  w.device("good/cpu0", 1, 0, {"null.other"});
  w.queue(st("waits").kind("odd.1499"));
  for (int i = 0; i < 1'500; ++i) {
    auto number = std::to_string(i);
    w.tell(device_up{{"odd/cpu0"}, {"odd"}, "odd/" + number, {"odd." + number, "null.work"}, 1});
  }
  EXPECT_EQ(w.place_of("waits"), "odd/cpu0");
  auto state = w.core.inspect();
  EXPECT_LE(state.at("counts").at("device_classes"), 1'000);
  EXPECT_EQ(state.at("devices").at(1).at("type"), "other") << "types beyond 256 are one";
  EXPECT_EQ(state.at("devices").at(0).at("type"), "cpu");
  w.queue(st("mine").kind("null.other"));
  EXPECT_EQ(w.place_of("mine"), "good/cpu0") << "who is honest stays what it is";
}

} // namespace troupe::scheduling::testing
