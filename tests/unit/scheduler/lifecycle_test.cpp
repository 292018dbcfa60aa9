#include "world.hpp"

namespace troupe::scheduling::testing {

using st = stage_builder;

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
  EXPECT_EQ(w.charged_to("alice"), 0) << "lost work costs nothing";
  w.tell(stage_ended{first.ref, first.attempt, first.device, outcome::ok, 700});
  EXPECT_EQ(w.core.stages(), 0u);
  EXPECT_EQ(w.charged_to("alice"), 700);
}

// Goal: a node that comes back with a result and free devices does not have its stage begun anew while the result is on
// its way. Method: the words of one hello, in either order.
TEST(device_loss, gives_nobody_a_stage_that_its_device_comes_back_with) {
  for (bool end_first : {false, true}) {
    world w;
    device_up up{{"a/cpu0"}, {"a"}, "cpu", {"null.work"}, 1, 0};
    up.hello = 1;
    w.tell(up);
    w.queue(st("film"));
    auto first = w.running.begin()->second;
    w.tell(device_down{{"a/cpu0"}});
    up.running = {{first.ref, first.attempt}};
    up.hello = 2;
    stage_ended done{first.ref, first.attempt, first.device, outcome::ok, 700, 2};
    const auto words = end_first ? std::vector<event>{done, up} : std::vector<event>{up, done};
    for (const auto& word : words)
      EXPECT_TRUE(w.tell(word).empty());
    EXPECT_EQ(w.core.stages(), 0u);
    EXPECT_EQ(w.charged_to("alice"), 700);
    w.queue(st("next"));
    EXPECT_EQ(w.place_of("next"), "a/cpu0");
  }
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

TEST(restart, charges_for_what_still_runs_once_its_device_is_known) {
  world w({}, 7);
  w.queue(st("other").of("bob"));
  w.tell(stage_running{st("film").takes(60'000).asked, {"a/cpu0"}, 12});
  EXPECT_EQ(w.charged_to("alice"), 0);
  w.device("a/cpu0", 1);
  EXPECT_EQ(w.charged_to("alice"), 60'000);
  w.tell(stage_ended{{{"film"}, 0}, 12, {"a/cpu0"}, outcome::ok, 5'000});
  EXPECT_EQ(w.charged_to("alice"), 5'000);
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

TEST(restart, believes_a_number_of_one_stage_alone) {
  world w({}, 7);
  w.queue(st("film"));
  w.queue(st("other"));
  device_up up{{"liar/cpu0"}, {"a"}, "cpu", {"null.work"}, 2, 0, {{{{"film"}, 0}, 12}, {{{"other"}, 0}, 12}}};
  EXPECT_EQ(only<stop>(w.tell(up))->ref.job.value, "other");
  EXPECT_EQ(w.core.running_at({{"film"}, 0})->attempt, 12u);
  auto out = w.tell(stage_ended{{{"other"}, 0}, 12, {"liar/cpu0"}, outcome::cancelled, 0});
  EXPECT_EQ(only<start>(out)->ref.job.value, "other") << "it waited as before";

  world late({}, 7);
  late.queue(st("film"));
  late.tell(with_held("liar/cpu0", {{"film"}, 0}, 12));
  EXPECT_EQ(only<stop>(late.tell(stage_running{st("other").asked, {"liar/cpu0"}, 12}))->ref.job.value, "other");
}

TEST(restart, bears_a_device_that_says_it_runs_more_than_any_memory_holds) {
  world w({}, 7);
  w.queue(st("film").vram(UINT32_MAX));
  w.queue(st("other").vram(UINT32_MAX));
  device_up up{
      {"liar/cuda0"}, {"a"}, "cuda", {"null.work"}, 2, UINT32_MAX, {{{{"film"}, 0}, 12}, {{{"other"}, 0}, 13}}};
  w.tell(up);
  EXPECT_EQ(w.core.running(), 2u);
  w.tell(stage_ended{{{"film"}, 0}, 12, {"liar/cuda0"}, outcome::cancelled, 0});
  w.tell(device_down{{"liar/cuda0"}});
  EXPECT_EQ(w.core.running(), 0u);
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
  EXPECT_EQ(state.at("devices").at(1).at("type"), "odd/1499") << "a type that no device has makes room";
  EXPECT_EQ(state.at("devices").at(0).at("type"), "cpu");
  w.queue(st("mine").kind("null.other"));
  EXPECT_EQ(w.place_of("mine"), "good/cpu0") << "who is honest stays what it is";
}

} // namespace troupe::scheduling::testing
