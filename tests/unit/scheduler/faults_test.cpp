#include "world.hpp"

namespace troupe::scheduling::testing {

using st = stage_builder;

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

// His word on a device whose node drains, or on a node whose device drains: one of the two is over.
TEST(quarantine, after_failures_ends_with_an_operators_word_though_the_device_goes_on_draining) {
  for (auto is_there : {true, false}) {
    world w;
    w.device("a/cpu0");
    for (const auto* job : {"one", "two", "three"}) {
      w.queue(st(job));
      w.end(job, outcome::device_fault);
    }
    if (!is_there)
      w.tell(device_down{{"a/cpu0"}});
    EXPECT_FALSE(only<released>(w.tell(device_drain{{"a/cpu0"}})));
    auto ended = only<released>(w.tell(device_drain{{"a/cpu0"}, false, true}));
    ASSERT_TRUE(ended);
    EXPECT_FALSE(ended->by_time);
    EXPECT_EQ(w.core.inspect(9).at("devices").size(), is_there ? 1u : 0u) << "nothing is kept of one that is away";
    device_up again{{"a/cpu0"}, {"a"}, "cpu", {"null.work"}, 1};
    again.draining = true;
    w.tell(again);
    w.queue(st("film"));
    EXPECT_EQ(w.why("film"), "draining");
    w.tell(device_enable{{"a/cpu0"}});
    EXPECT_EQ(w.place_of("film"), "a/cpu0");
    EXPECT_FALSE(only<quarantined>(w.end("film", outcome::device_fault))) << "what failed before counts no more";
  }
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
  for (auto how : {outcome::bad_input, outcome::unsuited})
    for (int i = 0; i < 12; ++i) {
      auto job = "film" + std::to_string(i);
      w.queue(st(job));
      EXPECT_FALSE(only<quarantined>(w.end(job, how)));
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

namespace {

// A worker that goes with each fault, and comes again.
struct restarting : world {
  restarting() { device("a/cpu0"); }
  void restart() {
    tell(device_down{{"a/cpu0"}});
    device("a/cpu0");
  }
  /// True where the fault brings a quarantine.
  bool fault() {
    auto job = "job" + std::to_string(faults++);
    queue(st(job));
    return only<quarantined>(end(job, outcome::device_fault)).has_value();
  }
  int faults = 0;
};

} // namespace

TEST(quarantine, finds_a_device_that_restarts_after_each_failure) {
  restarting w;
  EXPECT_FALSE(w.fault());
  w.restart();
  EXPECT_FALSE(w.fault());
  w.restart();
  w.tell(tick{});
  EXPECT_TRUE(w.fault());
}

TEST(quarantine, that_ended_by_time_comes_back_with_the_next_failure_over_a_restart_too) {
  for (auto is_away : {false, true}) { // while it ends
    restarting w;
    for (auto last : {false, false, true})
      EXPECT_EQ(w.fault(), last);
    if (is_away)
      w.tell(device_down{{"a/cpu0"}});
    w.now += limits{}.quarantine_ms;
    w.tell(tick{});
    w.restart();
    EXPECT_TRUE(w.fault());
  }
}

TEST(quarantine, goes_by_no_failures_from_before_a_long_absence_or_an_operators_word) {
  const event long_after = tick{}, enabled = device_enable{{"a/cpu0"}};
  for (const auto& [away_ms, happens] : {std::pair{limits{}.quarantine_ms, long_after}, {0, enabled}}) {
    restarting w;
    EXPECT_FALSE(w.fault());
    EXPECT_FALSE(w.fault());
    w.tell(device_down{{"a/cpu0"}});
    w.now += away_ms;
    w.tell(happens);
    w.restart();
    EXPECT_FALSE(w.fault());
  }
}

// A node can invent names.
TEST(quarantine, remembers_failures_of_some_thousand_absent_devices) {
  device_pool pool(8);
  auto name = [](int i) { return "n/invented" + std::to_string(i); };
  for (int i = 0; i < 10'000; ++i) {
    auto at = pool.expect(name(i));
    pool.at(at).failed = 1;
    pool.forget_if_empty(at, 1);
  }
  pool.check_invariants();
  int remembered = 0;
  for (int i = 0; i < 10'000; ++i)
    remembered += pool.at(pool.expect(name(i))).failed == 1 ? 1 : 0;
  EXPECT_GT(remembered, 1'000);
  EXPECT_LT(remembered, 5'000);
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

} // namespace troupe::scheduling::testing
