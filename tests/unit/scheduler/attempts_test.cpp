#include "actors/scheduler/recent_attempts.hpp"
#include "world.hpp"

// Attempts stopped for others, attempts beside others, and what is refused.

namespace troupe::scheduling::testing {

using st = stage_builder;

namespace {

// A device that a preemptible stage holds, and a stage of another class that waits for it.
struct contended : world {
  explicit contended(limits bounds = {}) : world(bounds) {
    device("a/gpu0", 1, 8'000);
    queue(st("batch").of("bob").vram(4'000).in(priority_class::preemptible));
    now += 10'000;
    queue(st("urgent").of("alice").vram(6'000).in(priority_class::interactive));
  }
};

std::vector<command> later(world& w, std::int64_t ms) {
  w.now += ms;
  return w.tell(tick{});
}

} // namespace

TEST(preemption, stops_a_preemptible_stage_for_one_that_waits_and_fits_in_its_place) {
  contended w;
  EXPECT_FALSE(only<stop>(later(w, 1'000))) << "it has not waited long enough";
  auto stopped = only<stop>(later(w, 1'500));
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->ref.job.value, "batch");
  EXPECT_FALSE(only<stop>(later(w, 5'000))) << "once is enough";
  auto out = w.end("batch", outcome::cancelled);
  EXPECT_EQ(only<start>(out)->ref.job.value, "urgent");
}

TEST(preemption, does_not_charge_what_was_stopped_and_puts_it_first_in_its_line) {
  contended w;
  w.queue(st("batch2").of("bob").vram(4'000).in(priority_class::preemptible));
  later(w, 2'500);
  w.end("batch", outcome::cancelled, 12'500);
  w.queue(st("batch").of("bob").vram(4'000).in(priority_class::preemptible));
  EXPECT_EQ(w.core.position({{"batch"}, 0}), 1u);
  EXPECT_EQ(w.charged_to("bob"), 0);
  EXPECT_EQ(only<start>(w.end("urgent"))->ref.job.value, "batch");
}

TEST(preemption, counts_a_result_that_came_before_the_stop) {
  contended w;
  later(w, 2'500);
  EXPECT_EQ(only<start>(w.end("batch", outcome::ok))->ref.job.value, "urgent");
}

TEST(preemption, is_remembered_where_the_device_is_lost_and_comes_back_before_the_attempt_has_stopped) {
  contended w;
  w.queue(st("batch2").of("bob").vram(4'000).in(priority_class::preemptible));
  auto stopped = only<stop>(later(w, 2'500));
  ASSERT_TRUE(stopped);
  w.tell(device_down{{"a/gpu0"}});
  w.tell(device_up{{"a/gpu0"}, {"a"}, "cuda", {"null.work"}, 1, 8'000, {{stopped->ref, stopped->attempt}}});
  ASSERT_EQ(w.place_of("batch"), "a/gpu0");
  w.tell(stage_ended{stopped->ref, stopped->attempt, {"a/gpu0"}, outcome::cancelled, 12'500});
  w.queue(st("batch").of("bob").vram(4'000).in(priority_class::preemptible));
  EXPECT_EQ(w.core.position({{"batch"}, 0}), 1u);
  EXPECT_EQ(w.charged_to("bob"), 0);
}

TEST(preemption, spares_what_has_just_begun) {
  world w;
  w.device("a/gpu0", 1, 8'000);
  w.queue(st("batch").of("bob").in(priority_class::preemptible));
  w.queue(st("urgent"));
  EXPECT_FALSE(only<stop>(later(w, 2'500)));
  EXPECT_TRUE(only<stop>(later(w, 2'500)));
}

TEST(preemption, stops_nothing_where_the_stage_would_not_fit_afterwards) {
  world w;
  w.device("a/gpu0", 2, 8'000);
  w.queue(st("large").of("carol").vram(5'000));
  w.queue(st("batch").of("bob").vram(2'000).in(priority_class::preemptible));
  w.queue(st("urgent").vram(4'000).in(priority_class::interactive));
  EXPECT_FALSE(only<stop>(later(w, 60'000)));
  EXPECT_EQ(w.place_of("urgent"), "");
}

TEST(preemption, stops_no_other_class_and_nothing_for_its_own) {
  world w;
  w.device("a/gpu0", 1, 8'000);
  w.device("b/cpu0", 1, 0, {"other.work"});
  w.queue(st("standard").of("bob"));
  w.queue(st("batch").of("bob").kind("other.work").in(priority_class::preemptible));
  w.queue(st("urgent").in(priority_class::interactive));
  w.queue(st("batch2").of("carol").kind("other.work").in(priority_class::preemptible));
  EXPECT_FALSE(only<stop>(later(w, 60'000)));
}

TEST(preemption, stops_nothing_where_the_operator_allows_none) {
  limits bounds;
  bounds.preemptions_max = 0;
  contended w(bounds);
  EXPECT_FALSE(only<stop>(later(w, 2'500)));
}

// Goal: who can be helped is looked for among all that wait. Method: more buckets than a tick looks at wait for a
// device that runs nothing preemptible, and all of them came before the one for which something could be stopped.
TEST(preemption, reaches_each_bucket_in_turn) {
  world w;
  w.device("a/cpu0", 1, 0, {"other.work"});
  w.device("b/cpu0");
  w.queue(st("standard").kind("other.work"));
  w.queue(st("batch").of("bob").in(priority_class::preemptible));
  for (int i = 0; i < 40; ++i)
    w.queue(st("waits" + std::to_string(i)).kind("other.work").model("m" + std::to_string(i)));
  w.queue(st("urgent").in(priority_class::interactive));
  later(w, 6'000);
  later(w, 500);
  EXPECT_TRUE(only<stop>(later(w, 500))) << "41 buckets, 16 in each tick";
}

TEST(preemption, leaves_the_class_its_minimum_share) {
  limits bounds;
  bounds.class_shares_min = {0.1, 0.1, 0.5};
  world w(bounds);
  w.device("a/cpu0", 4);
  for (int i = 0; i < 4; ++i)
    w.queue(st("batch" + std::to_string(i)).of("bob").in(priority_class::preemptible));
  for (int i = 0; i < 4; ++i)
    w.queue(st("urgent" + std::to_string(i)).of("alice"));
  int stopped = 0;
  for (int i = 0; i < 10; ++i)
    for (const auto& c : later(w, 10'000))
      if (const auto* s = std::get_if<stop>(&c)) {
        ++stopped;
        w.end(s->ref, outcome::cancelled);
      }
  EXPECT_EQ(stopped, 2);
}

// Goal: no stage is stopped for ever, and what is stopped never takes the place back while the other waits.
TEST(preemption, never_goes_in_a_circle) {
  world w;
  w.device("a/cpu0");
  w.queue(st("batch").of("bob").in(priority_class::preemptible));
  int stopped = 0, urgent = 0;
  std::string before = "batch";
  for (int i = 0; i < 40; ++i) {
    w.queue(st("urgent" + std::to_string(urgent++)).of("alice"));
    for (const auto& c : later(w, 6'000)) {
      const auto* s = std::get_if<stop>(&c);
      if (s == nullptr)
        continue;
      ASSERT_EQ(s->ref.job.value, "batch");
      ++stopped;
      auto next = only<start>(w.end("batch", outcome::cancelled));
      ASSERT_TRUE(next && next->ref.job.value.starts_with("urgent"));
      w.queue(st("batch").of("bob").in(priority_class::preemptible));
    }
    auto running = w.running;
    for (const auto& [ref, at] : running)
      if (ref.job.value != "batch")
        w.end(ref, outcome::ok, 60'000);
  }
  EXPECT_GE(stopped, 1);
  EXPECT_LE(stopped, 3) << "a bound for each stage";
}

// -- stragglers -------------------------------------------------------------------------------------------------------

namespace {

// Stages of this kind take a second; one has run for long, and b/cpu0 has nothing to do.
struct late : world {
  explicit late(bool maybe_twice = true) {
    device("a/cpu0");
    for (int i = 0; i < 5; ++i) {
      queue(st("usual" + std::to_string(i)));
      end("usual" + std::to_string(i), outcome::ok, 1'000);
    }
    auto stage = st("slow");
    queue(maybe_twice ? stage.maybe_twice() : stage);
  }
  void add_idle() { device("b/cpu0"); }
  std::vector<command> end_second(outcome how) {
    auto at = seconds.at({{"slow"}, 0});
    return tell(stage_ended{at.ref, at.attempt, at.device, how, 1'000});
  }
  std::int64_t charged() const { return charged_to("alice"); }
};

} // namespace

TEST(stragglers, get_a_second_attempt_on_an_idle_device) {
  late w;
  w.add_idle();
  EXPECT_FALSE(only<start>(later(w, 4'000))) << "not yet late";
  auto second = only<start>(later(w, 2'000));
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->second);
  EXPECT_EQ(second->device.value, "b/cpu0");
  EXPECT_GT(second->attempt, w.running.begin()->second.attempt);
  EXPECT_FALSE(only<start>(later(w, 60'000))) << "one is enough";
}

// Goal: a second attempt goes to no device that failed the stage. Method: the stage failed on both when no other was
// there, and was begun on one of them all the same.
TEST(stragglers, get_no_second_attempt_on_a_device_that_failed_them) {
  late w;
  w.end("slow", outcome::device_fault);
  w.queue(st("slow").maybe_twice().without("a/cpu0").without("b/cpu0"));
  ASSERT_EQ(w.place_of("slow"), "a/cpu0");
  w.add_idle();
  EXPECT_FALSE(only<start>(later(w, 60'000)));
  w.device("c/cpu0");
  auto second = only<start>(later(w, 1'000));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->device.value, "c/cpu0");
}

TEST(stragglers, the_first_result_counts_the_other_is_stopped_and_one_is_charged) {
  for (auto second_wins : {true, false}) {
    late w;
    w.add_idle();
    later(w, 6'000);
    auto before = w.charged();
    auto first = w.running.at({{"slow"}, 0}), second = w.seconds.at({{"slow"}, 0});
    auto won = second_wins ? second : first, lost = second_wins ? first : second;
    auto out = w.tell(stage_ended{won.ref, won.attempt, won.device, outcome::ok, 3'000});
    auto stopped = only<stop>(out);
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->attempt, lost.attempt);
    EXPECT_EQ(w.core.stages(), 0u);
    EXPECT_EQ(w.core.running(), 1u) << "its slot is held until it has ended";
    w.tell(stage_ended{lost.ref, lost.attempt, lost.device, outcome::cancelled, 6'000});
    EXPECT_EQ(w.core.running(), 0u);
    EXPECT_EQ(w.charged() - before, 2'000) << "a second was charged when it started";
  }
}

TEST(stragglers, the_other_goes_on_where_one_fails) {
  for (auto second_fails : {true, false}) {
    late w;
    w.add_idle();
    later(w, 6'000);
    auto first = w.running.at({{"slow"}, 0}), second = w.seconds.at({{"slow"}, 0});
    auto failed = second_fails ? second : first, other = second_fails ? first : second;
    EXPECT_FALSE(only<stop>(w.tell(stage_ended{failed.ref, failed.attempt, failed.device, outcome::device_fault, 1})));
    EXPECT_EQ(w.core.running_at(failed.ref)->attempt, other.attempt);
    w.tell(stage_ended{other.ref, other.attempt, other.device, outcome::ok, 9'000});
    EXPECT_EQ(w.core.stages() + w.core.running(), 0u);
  }
}

TEST(stragglers, the_other_goes_on_where_ones_device_is_lost) {
  late w;
  w.add_idle();
  later(w, 6'000);
  auto second = w.seconds.at({{"slow"}, 0});
  auto out = w.tell(device_down{{"a/cpu0"}});
  EXPECT_TRUE(only<moved>(out)) << "its job believes in the first until it is told";
  EXPECT_EQ(w.core.running_at(second.ref)->attempt, second.attempt);
  EXPECT_EQ(w.core.queue_length(), 0u);
  EXPECT_FALSE(only<moved>(w.tell(stage_queued{st("slow").asked}))) << "it runs already";
  w.end_second(outcome::ok);
  EXPECT_EQ(w.core.stages() + w.core.running(), 0u);
}

TEST(stragglers, are_left_alone_where_the_stage_does_not_say_so) {
  late w(false);
  w.add_idle();
  EXPECT_FALSE(only<start>(later(w, 60'000)));
}

TEST(stragglers, are_left_alone_where_no_device_is_idle_or_something_waits_for_it) {
  late w;
  w.queue(st("waits").vram(1));
  EXPECT_FALSE(only<start>(later(w, 60'000)));
  w.device("c/gpu0", 2, 1'000);
  EXPECT_EQ(w.place_of("waits"), "c/gpu0");
  EXPECT_FALSE(only<start>(later(w, 60'000))) << "that one is not idle";
}

TEST(stragglers, have_a_tenth_of_the_slots_at_most) {
  late w;
  w.device("a/cpu0", 2);
  w.queue(st("slow2").maybe_twice());
  w.device("b/cpu0", 12);
  w.device("c/cpu0");
  EXPECT_TRUE(only<start>(later(w, 60'000)));
  later(w, 60'000);
  EXPECT_EQ(w.seconds.size(), 1u) << "of 15 slots";
  w.device("d/cpu0", 5);
  EXPECT_TRUE(only<start>(later(w, 500))) << "of 20";
}

TEST(stragglers, both_are_stopped_where_nobody_wants_the_stage) {
  late w;
  w.add_idle();
  later(w, 6'000);
  auto out = w.tell(stage_withdrawn{{{"slow"}, 0}});
  EXPECT_EQ(std::count_if(out.begin(), out.end(), [](const auto& c) { return std::holds_alternative<stop>(c); }), 2);
  w.end_second(outcome::cancelled);
  w.end("slow", outcome::cancelled);
  EXPECT_EQ(w.core.stages() + w.core.running(), 0u);
}

// -- admission --------------------------------------------------------------------------------------------------------

TEST(admission, says_when_to_come_back_by_the_rate_at_which_the_queue_drains) {
  limits bounds;
  bounds.queue_max = 100;
  world w(bounds);
  w.device("a/cpu0");
  for (int i = 0; i < 60; ++i) {
    w.queue(st("warm" + std::to_string(i)));
    w.now += 4'000;
    w.end("warm" + std::to_string(i));
  }
  for (int i = 0; i < 99; ++i)
    w.queue(st("fill" + std::to_string(i)));
  EXPECT_FALSE(w.core.would_refuse({"alice"}, 2)) << "one of them runs";
  auto full = w.core.would_refuse({"alice"}, 12);
  ASSERT_TRUE(full);
  EXPECT_EQ(full->code, "queue_full");
  EXPECT_NEAR(static_cast<double>(full->retry_after_ms), 40'000.0, 12'000.0) << "ten have to end, one every 4 s";
  w.now += 600'000;
  w.tell(tick{});
  EXPECT_EQ(w.core.would_refuse({"alice"}, 12)->retry_after_ms, 3'600'000) << "nothing drains any more";
}

TEST(admission, counts_no_time_in_which_nothing_ran) {
  limits bounds;
  bounds.queue_max = 100;
  world w(bounds);
  auto retry_after_ms = [&] { return static_cast<double>(w.core.would_refuse({"alice"}, 12)->retry_after_ms); };
  w.device("a/cpu0");
  for (int i = 0; i < 60; ++i) {
    w.queue(st("warm" + std::to_string(i)));
    w.now += 4'000;
    w.end("warm" + std::to_string(i));
  }
  later(w, 3'600'000);
  for (int i = 0; i < 100; ++i)
    w.queue(st("fill" + std::to_string(i)));
  EXPECT_NEAR(retry_after_ms(), 44'000.0, 13'000.0) << "eleven have to end, one every 4 s";
  later(w, 4'000);
  w.end("fill0");
  EXPECT_NEAR(retry_after_ms(), 40'000.0, 12'000.0) << "that one took 4 s, not an hour";
  w.tell(device_down{{"a/cpu0"}});
  later(w, 3'600'000);
  EXPECT_EQ(retry_after_ms(), 3'600'000) << "what waits does so in vain";
}

TEST(admission, of_an_account_goes_by_its_share_of_what_runs) {
  limits bounds;
  bounds.queue_per_account = 10;
  world w(bounds);
  w.device("a/cpu0", 4);
  for (int i = 0; i < 60; ++i) {
    w.queue(st("warm" + std::to_string(i)).of("bob"));
    w.now += 1'000;
    w.end("warm" + std::to_string(i));
  }
  for (int i = 0; i < 3; ++i)
    w.queue(st("bob" + std::to_string(i)).of("bob"));
  for (int i = 0; i < 11; ++i)
    w.queue(st("own" + std::to_string(i)));
  auto full = w.core.would_refuse({"alice"});
  ASSERT_TRUE(full);
  EXPECT_EQ(full->code, "account_queue_full");
  EXPECT_NEAR(static_cast<double>(full->retry_after_ms), 4'000.0, 1'500.0) << "a quarter of one a second";
  EXPECT_FALSE(w.core.would_refuse({"bob"}));
}

TEST(recent_attempts, are_the_last_so_many) {
  recent_attempts ended(3);
  for (std::uint64_t attempt : {1, 2, 2, 3, 4})
    ended.add("a/cpu0", attempt << 33, attempt);
  EXPECT_FALSE(ended.contains("a/cpu0", std::uint64_t{1} << 33));
  for (std::uint64_t attempt : {2, 3, 4})
    EXPECT_TRUE(ended.contains("a/cpu0", attempt << 33, attempt));
  EXPECT_TRUE(ended.contains("a/cpu0", std::uint64_t{2} << 33)) << "whichever hello was before";
  EXPECT_FALSE(ended.contains("a/cpu0", std::uint64_t{2} << 33, 3)) << "it ended before that one";
}

// -- costs ------------------------------------------------------------------------------------------------------------

// Goal: what a load costs is learned, not guessed. Method: loading takes a minute where the guess is two seconds; a
// slower machine that has the model then wins over a faster one that has not.
TEST(costs, of_loading_a_model_are_learned) {
  world w;
  w.tell(device_up{{"a/slow0"}, {"a"}, "slow", {"null.work"}, 1, 8'000});
  w.tell(device_down{{"a/slow0"}});
  w.tell(device_up{{"b/fast0"}, {"b"}, "fast", {"null.work"}, 1, 8'000});
  auto run = [&](const std::string& job, const std::string& model, std::uint32_t ms) {
    w.queue(st(job).model(model).vram(5'000));
    w.end(job, outcome::ok, ms);
  };
  run("f0", "m", 60'000);
  for (int i = 1; i < 12; ++i)
    run("f" + std::to_string(i), "m", 1'000);
  run("other", "n", 1'000); // m is not loaded there any more
  run("cold", "m", 61'000); // so this tells what loading takes
  run("other2", "n", 1'000);
  w.tell(device_down{{"b/fast0"}});
  w.tell(device_up{{"a/slow0"}, {"a"}, "slow", {"null.work"}, 1, 8'000});
  for (int i = 0; i < 12; ++i)
    run("s" + std::to_string(i), "m", 20'000);
  w.tell(device_up{{"b/fast0"}, {"b"}, "fast", {"null.work"}, 1, 8'000});
  w.queue(st("next").model("m").vram(5'000));
  EXPECT_EQ(w.place_of("next"), "a/slow0") << "20 s there, 61 s on the faster one";
}

namespace {

// A machine that holds the inputs, and one twenty times as fast that must fetch them first.
struct near_and_far : world {
  void join(const std::string& id) {
    auto type = id.substr(2, 4);
    tell(device_up{{id}, {id.substr(0, 1)}, type, {"null.work"}, 1});
  }
  void run(const std::string& job, std::uint32_t run_ms, std::int64_t transfer_ms) {
    queue(st(job).near("a"));
    end(job, outcome::ok, run_ms, transfer_ms);
  }
  /// What each takes is known, and both are there.
  void learn(std::int64_t transfer_ms) {
    join("a/slow0");
    for (int i = 0; i < 6; ++i)
      run("s" + std::to_string(i), 20'000, 0);
    tell(device_down{{"a/slow0"}});
    join("b/fast0");
    for (int i = 0; i < 6; ++i)
      run("f" + std::to_string(i), 1'000 + 100 * static_cast<std::uint32_t>(i % 2), transfer_ms);
    join("a/slow0");
  }
};

} // namespace

// Goal: what a transfer costs is what transfers took, and not how much the runs after them differ.
TEST(costs, of_a_transfer_are_what_the_node_says_that_it_took) {
  near_and_far w;
  w.learn(60'000);
  w.queue(st("next").near("a"));
  EXPECT_EQ(w.place_of("next"), "a/slow0") << "20 s there; a minute and a second on the faster one";
  near_and_far quick;
  quick.learn(300);
  quick.queue(st("next").near("a"));
  EXPECT_EQ(quick.place_of("next"), "b/fast0");
}

TEST(costs, of_a_transfer_are_guessed_where_nodes_do_not_say) {
  near_and_far w;
  w.learn(-1);
  auto row = w.core.inspect().at("run_times").at(1);
  EXPECT_EQ(row.at("type"), "fast");
  EXPECT_EQ(row.at("transfers"), 0) << "the runs differ by a tenth, which is no transfer";
  w.queue(st("next").near("a"));
  EXPECT_EQ(w.place_of("next"), "b/fast0") << "half a second is guessed";
}

TEST(costs, are_shown_to_operators) {
  near_and_far w;
  w.learn(7'000);
  auto rows = w.core.inspect().at("run_times");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0], (json{{"kind", "null.work"},
                           {"model", ""},
                           {"type", "slow"},
                           {"mean_ms", 20'000},
                           {"deviation_ms", rows[0].at("deviation_ms")},
                           {"samples", 6},
                           {"load_ms", 0},
                           {"loads", 0},
                           {"transfer_ms", 0},
                           {"transfers", 0}}));
  EXPECT_EQ(rows[1].at("transfer_ms"), 7'000);
  EXPECT_EQ(rows[1].at("transfers"), 6);
  EXPECT_EQ(w.core.inspect(1).at("run_times").size(), 1u);
}

// Goal: a stage that waits for its inputs is not late for that. Method: its like take a second, after fetching for ten.
TEST(stragglers, are_not_those_whose_inputs_take_long_to_come) {
  for (auto told : {std::int64_t{10'000}, std::int64_t{-1}}) {
    near_and_far w;
    w.join("b/fast0");
    for (int i = 0; i < 6; ++i)
      w.run("f" + std::to_string(i), 1'000, told);
    w.queue(st("slow").near("a").maybe_twice());
    w.join("c/fast0");
    EXPECT_FALSE(only<start>(later(w, 12'000))) << "what was told of transfers: " << told;
    EXPECT_EQ(only<start>(later(w, 60'000)).has_value(), told > 0) << "where none was measured, nobody can say";
  }
}

} // namespace troupe::scheduling::testing
