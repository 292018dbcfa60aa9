#include "world.hpp"

#include <cmath>
#include <deque>

namespace troupe::scheduling::testing {

using st = stage_builder;

namespace {

// Keeps `backlog` stages of each account waiting, ends the running ones in order of their start, and returns the device
// time that each account got in `stages` stages.
struct load {
  std::string account;
  std::uint32_t weight;
  std::uint32_t run_ms;
  std::uint32_t estimate_ms;
  int stages_per_job = 1;
  std::string model = {};
};

std::map<std::string, double> device_time_of(world& w, const std::vector<load>& loads, int stages, int backlog = 8) {
  std::map<std::string, double> got;
  std::map<std::string, int> made;
  std::deque<std::pair<stage_ref, const load*>> running;
  std::map<stage_ref, const load*> owner;
  auto note = [&](const std::vector<command>& out) {
    for (const auto& c : out)
      if (const auto* s = std::get_if<start>(&c))
        running.push_back({s->ref, owner.at(s->ref)});
  };
  auto refill = [&](const load& l) {
    while (w.core.load_of({l.account}).waiting < static_cast<std::uint32_t>(backlog)) {
      auto n = made[l.account + l.model]++;
      auto stage = st(l.account + l.model + "-" + std::to_string(n / l.stages_per_job),
                      static_cast<std::uint32_t>(n % l.stages_per_job));
      stage.of(l.account).weighing(l.weight).takes(l.estimate_ms).model(l.model);
      owner[stage.asked.ref] = &l;
      note(w.queue(stage));
    }
  };
  for (int done = 0; done < stages; ++done) {
    for (const auto& l : loads)
      refill(l);
    auto [ref, whose] = running.front();
    running.pop_front();
    got[whose->account] += whose->run_ms;
    w.now += 10;
    note(w.end(ref, outcome::ok, whose->run_ms));
  }
  return got;
}

} // namespace

TEST(fairness, gives_two_accounts_the_same_device_time_though_one_has_longer_stages) {
  world w;
  w.device("a/cpu0", 4);
  auto got = device_time_of(w, {{"alice", 1, 3000, 3000}, {"bob", 1, 1000, 1000}}, 2000);
  EXPECT_NEAR(share(got, "alice"), 0.5, 0.02);
}

TEST(fairness, follows_the_weights_of_the_tiers) {
  world w;
  w.device("a/cpu0", 4);
  w.device("b/cpu0", 4);
  auto got = device_time_of(w, {{"studio", 6, 1000, 1000}, {"pro", 3, 1000, 1000}, {"free", 1, 1000, 1000}}, 2000);
  EXPECT_NEAR(share(got, "studio"), 0.6, 0.02);
  EXPECT_NEAR(share(got, "pro"), 0.3, 0.02);
  EXPECT_NEAR(share(got, "free"), 0.1, 0.02);
}

// Goal: whatever the turns say, a class that has work is not shut out. Method: one account floods with interactive
// stages, and another, whose turn comes a day later, has only preemptible ones.
TEST(fairness, gives_each_class_its_minimum_share) {
  limits bounds;
  bounds.preemptible_lag_ms = 24 * 3'600'000;
  bounds.aging_period = 0;
  world w(bounds);
  w.device("a/cpu0", 4);
  std::deque<stage_ref> running;
  std::map<std::string, int> made, ended;
  auto note = [&](const std::vector<command>& out) {
    for (const auto& c : out)
      if (const auto* s = std::get_if<start>(&c))
        running.push_back(s->ref);
  };
  auto refill = [&](const std::string& account, priority_class priority) {
    while (w.core.load_of({account}).waiting < 8)
      note(w.queue(st(account + "-" + std::to_string(made[account]++)).of(account).takes(1000).in(priority)));
  };
  for (int i = 0; i < 2'000; ++i) {
    refill("flood", priority_class::interactive);
    refill("patient", priority_class::preemptible);
    auto ref = running.front();
    running.pop_front();
    ++ended[ref.job.value.substr(0, ref.job.value.find('-'))];
    w.now += 10;
    note(w.end(ref, outcome::ok, 1000));
  }
  EXPECT_NEAR(ended["patient"] / 2'000.0, 0.05, 0.01);
}

TEST(fairness, is_not_fooled_by_estimates) {
  world w;
  w.device("a/cpu0", 4);
  auto got = device_time_of(w, {{"modest", 1, 1000, 1, 1, "one"}, {"honest", 1, 1000, 1000, 1, "two"}}, 2000);
  EXPECT_NEAR(share(got, "modest"), 0.5, 0.02);
}

TEST(fairness, gives_an_account_nothing_for_splitting_its_work_over_jobs) {
  world w;
  w.device("a/cpu0", 4);
  auto got = device_time_of(w, {{"one-job", 1, 1000, 1000, 100'000}, {"many-jobs", 1, 1000, 1000, 1}}, 2000);
  EXPECT_NEAR(share(got, "one-job"), 0.5, 0.02);
}

TEST(fairness, gives_an_account_nothing_for_splitting_its_work_over_models) {
  world w;
  w.device("a/cpu0", 4);
  std::vector<load> loads{{"plain", 1, 1000, 1000, 1, "m0"}};
  for (int i = 0; i < 8; ++i)
    loads.push_back({"split", 1, 1000, 1000, 1, "m" + std::to_string(i)});
  auto got = device_time_of(w, loads, 2000, 32);
  EXPECT_NEAR(share(got, "plain"), 0.5, 0.03);
}

// Goal: shares follow the weights however long stages are, however many models they want and however many run at once.
// Method: two accounts that always have work of every model, on devices that hold any of them.
TEST(fairness, follows_the_weights_with_more_models_than_bits_and_long_stages) {
  constexpr int models = 100, devices = 8;
  limits bounds;
  bounds.in_flight_per_account = 1'000;
  world w(bounds);
  int n = 0;
  auto queue = [&](const std::string& account, std::uint32_t weight, int model) {
    w.queue(st(account + std::to_string(n++)).of(account).weighing(weight).model("m" + std::to_string(model)));
  };
  for (int model = 0; model < models; ++model) {
    queue("one", 1, model);
    queue("three", 3, model);
  }
  for (int d = 0; d < devices; ++d)
    w.device("n" + std::to_string(d) + "/gpu", 1, 24'000);
  std::map<std::string, int> ended;
  for (int i = 0; i < 800; ++i) {
    auto next = std::min_element(w.running.begin(), w.running.end(),
                                 [](const auto& a, const auto& b) { return a.second.attempt < b.second.attempt; });
    auto account = std::string(next->first.job.value.starts_with("one") ? "one" : "three");
    ++ended[account];
    w.now += 7'500;
    w.end(next->first, outcome::ok, 60'000);
    queue(account, account == "one" ? 1 : 3, i % models);
  }
  EXPECT_NEAR(ended["one"], 200, 6);
}

TEST(fairness, a_newcomer_is_served_next_and_not_before_those_who_wait) {
  world w;
  w.device("a/cpu0");
  for (int i = 0; i < 50; ++i)
    w.queue(st("old" + std::to_string(i)).of("old"));
  for (int i = 0; i < 20; ++i)
    w.end("old" + std::to_string(i));
  for (int i = 0; i < 20; ++i)
    w.queue(st("new" + std::to_string(i)).of("new"));
  w.starts = 0;
  int of_new = 0;
  for (int i = 0; i < 10; ++i) {
    auto out = w.end(w.running.begin()->first);
    of_new += only<start>(out)->ref.job.value.starts_with("new");
  }
  EXPECT_GE(of_new, 4); // idling earned it no more than its share …
  EXPECT_LE(of_new, 6); // … and waiting since earlier gains the other nothing
}

TEST(fairness, one_who_queues_a_stage_at_a_time_gets_no_more_than_one_who_queues_all) {
  world w;
  w.device("a/cpu0", 2);
  auto got = device_time_of(w, {{"all", 1, 1000, 1000}}, 4); // warm up
  int chain = 0, all = 0;
  std::deque<stage_ref> running;
  for (const auto& [ref, at] : w.running)
    running.push_back(ref);
  int n = 0;
  for (int i = 0; i < 400; ++i) {
    while (w.core.load_of({"all"}).waiting < 8)
      w.queue(st("bulk" + std::to_string(n++)).of("all"));
    if (w.core.load_of({"chain"}).waiting + w.core.load_of({"chain"}).running == 0)
      w.queue(st("chain" + std::to_string(n++)).of("chain"));
    auto out = w.end(running.front());
    running.pop_front();
    if (auto s = only<start>(out)) {
      running.push_back(s->ref);
      ++(s->ref.job.value.starts_with("chain") ? chain : all);
    }
  }
  EXPECT_LE(chain, all);
}

TEST(fairness, an_account_never_runs_more_than_its_cap_and_others_use_the_rest) {
  limits bounds;
  bounds.in_flight_per_account = 3;
  world w(bounds);
  w.device("a/cpu0", 8);
  for (int i = 0; i < 10; ++i)
    w.queue(st("alice" + std::to_string(i)));
  EXPECT_EQ(w.core.load_of({"alice"}).running, 3u);
  EXPECT_EQ(w.why("alice5"), "account_cap");
  w.queue(st("bob").of("bob"));
  EXPECT_EQ(w.place_of("bob"), "a/cpu0");
  w.end("alice0");
  EXPECT_EQ(w.place_of("alice3"), "a/cpu0");
}

TEST(fairness, a_class_shifts_when_and_not_how_much) {
  world w;
  w.device("a/cpu0");
  w.queue(st("running"));
  w.queue(st("later").in(priority_class::preemptible));
  w.queue(st("plain"));
  w.queue(st("soon").in(priority_class::interactive));
  std::vector<std::string> order;
  for (int i = 0; i < 3; ++i)
    order.push_back(only<start>(w.end(w.running.begin()->first))->ref.job.value);
  EXPECT_THAT(order, ::testing::ElementsAre("soon", "plain", "later"));
}

// Goal: each class of devices serves who has waited longest in one of so many of its own starts. Method: two classes
// whose starts alternate, so that counted together each one of so many would fall to the same class.
TEST(fairness, who_has_waited_longest_is_served_whatever_other_classes_of_devices_start) {
  limits bounds;
  bounds.aging_period = 4;
  bounds.aging_after_ms = 1'000;
  bounds.class_shares_min = {};
  bounds.preemptible_lag_ms = 1'000'000'000;
  for (int first : {0, 1}) {
    world w(bounds);
    w.device("a/cpu0", 1, 0, {"k.a"});
    w.device("b/cpu0", 1, 0, {"k.b"});
    int n = 0;
    auto flood = [&](const std::string& kind) { w.queue(st(kind + std::to_string(n++)).of("flood").kind(kind)); };
    for (const auto* kind : {"k.a", "k.b", "k.a", "k.b"})
      flood(kind);
    w.queue(st("patient").of("bob").kind("k.a").in(priority_class::preemptible));
    w.now += 2'000;
    int starts_on_a = 0;
    for (int i = first; w.place_of("patient").empty() && starts_on_a < 100; ++i) {
      auto kind = std::string(i % 2 == 0 ? "k.a" : "k.b");
      flood(kind);
      auto runs = std::find_if(w.running.begin(), w.running.end(),
                               [&](const auto& r) { return r.first.job.value.starts_with(kind); });
      w.end(runs->first);
      starts_on_a += i % 2 == 0 ? 1 : 0;
    }
    EXPECT_LE(starts_on_a, 4);
  }
}

TEST(fairness, the_preemptible_class_is_served_while_another_floods_the_queue) {
  world w;
  w.device("a/cpu0");
  w.queue(st("patient").of("bob").in(priority_class::preemptible));
  for (int i = 0; i < 5; ++i)
    w.queue(st("p" + std::to_string(i)).of("bob").in(priority_class::preemptible));
  int n = 0;
  for (; n < 100 && w.core.load_of({"bob"}).waiting > 0; ++n) {
    w.queue(st("flood" + std::to_string(n)).of("alice"));
    w.queue(st("flood-b" + std::to_string(n)).of("alice"));
    w.now += 1000;
    w.end(w.running.begin()->first);
  }
  EXPECT_LT(n, 60);
}

// Goal: whoever weighs less waits longer, and is not taken for one who waits for memory. Method: one device that any
// stage fits on once it is free.
TEST(fairness, follows_the_weights_where_who_weighs_less_waits_for_minutes) {
  world w;
  int n = 0;
  auto queue = [&](const std::string& account, std::uint32_t weight) {
    w.queue(st(account + std::to_string(n++)).of(account).weighing(weight).model(account).vram(20'000));
  };
  for (int i = 0; i < 8; ++i) {
    queue("light", 1);
    queue("heavy", 8);
  }
  w.device("a/gpu", 1, 24'000);
  std::map<std::string, int> ended;
  for (int i = 0; i < 400; ++i) {
    auto next = w.running.begin()->first;
    auto account = std::string(next.job.value.starts_with("light") ? "light" : "heavy");
    ++ended[account];
    w.now += 30'000;
    w.tell(tick{});
    w.end(next, outcome::ok, 30'000);
    queue(account, account == "light" ? 1 : 8);
  }
  EXPECT_NEAR(ended["light"] / 400.0, 1.0 / 9, 0.02);
}

// Goal: of its own stages too an account gets all done, however many have their model loaded. Method: nothing else
// would bring the other one up.
TEST(fairness, a_loaded_model_does_not_keep_its_accounts_other_stages_waiting) {
  limits bounds;
  bounds.aging_period = 0;
  bounds.warm_run_max_ms = 60'000;
  world w(bounds);
  w.device("a/gpu", 1, 24'000);
  for (int i = 0; i < 500; ++i)
    w.queue(st("warm" + std::to_string(i)).model("loaded").vram(20'000));
  w.queue(st("one").model("other").vram(20'000));
  w.queue(st("two").model("third").vram(20'000));
  int ended = 0;
  for (; ended < 500 && (!w.why("one").empty() || !w.why("two").empty()); ++ended) {
    w.now += 1'000;
    w.end(w.running.begin()->first, outcome::ok, 1'000);
  }
  EXPECT_LE(ended, 130) << "each after a minute of device time";
  EXPECT_GE(ended, 60) << "a load is to be of use";
}

// Goal: who comes does not stand behind what others were charged and get back. Method: an account fills the devices
// with stages that take a hundredth of what they are thought to; another comes before the first has ended, or later.
TEST(fairness, a_newcomer_does_not_join_behind_estimates_that_are_wrong) {
  for (int ended_before : {0, 40}) {
    world w;
    w.device("a/cpu0", 32);
    int n = 0;
    auto queue = [&](const std::string& account) {
      w.queue(st(account + std::to_string(n++)).of(account).takes(600'000));
    };
    auto end_next = [&] {
      auto next = std::min_element(w.running.begin(), w.running.end(),
                                   [](const auto& a, const auto& b) { return a.second.attempt < b.second.attempt; });
      return only<start>(w.end(next->first, outcome::ok, 6'000));
    };
    for (int i = 0; i < 300; ++i)
      queue("first");
    for (int i = 0; i < ended_before; ++i)
      end_next();
    for (int i = 0; i < 200; ++i)
      queue("second");
    int of_second = 0;
    for (int i = 0; i < 32; ++i)
      of_second += end_next()->ref.job.value.starts_with("second") ? 1 : 0;
    EXPECT_GE(of_second, 16) << "while it has less in flight than the first, it goes first";
    of_second = 0;
    for (int i = 0; i < 128; ++i)
      of_second += end_next()->ref.job.value.starts_with("second") ? 1 : 0;
    EXPECT_NEAR(of_second, 64, 10);
  }
}

TEST(fairness, a_class_that_waits_for_other_devices_takes_no_other_class_its_minimum_share) {
  limits bounds;
  bounds.preemptible_lag_ms = 24 * 3'600'000;
  bounds.aging_period = 0;
  world w(bounds);
  w.device("a/cpu0", 1);
  w.queue(st("elsewhere").of("stuck").kind("k.gone").in(priority_class::interactive));
  int n = 0, patient = 0;
  for (int i = 0; i < 8; ++i)
    w.queue(st("patient" + std::to_string(n++)).of("patient").in(priority_class::preemptible));
  for (int i = 0; i < 1'000; ++i) {
    w.queue(st("flood" + std::to_string(n++)).of("flood"));
    w.now += 1'000;
    auto next = w.running.begin()->first;
    if (next.job.value.starts_with("patient")) {
      ++patient;
      w.queue(st("patient" + std::to_string(n++)).of("patient").in(priority_class::preemptible));
    }
    w.end(next);
  }
  EXPECT_NEAR(patient, 50, 10);
}

// Method: two equal devices whose starts alternate, so that each one of so many falls to the one that it must not use.
TEST(fairness, who_has_waited_longest_is_served_whichever_of_equal_devices_it_can_use) {
  limits bounds;
  bounds.aging_period = 4;
  bounds.aging_after_ms = 1'000;
  bounds.class_shares_min = {};
  bounds.preemptible_lag_ms = 1'000'000'000;
  for (const auto* excluded : {"a/cpu0", "b/cpu0"}) {
    world w(bounds);
    w.device("a/cpu0");
    w.device("b/cpu0");
    int n = 0;
    for (int i = 0; i < 4; ++i)
      w.queue(st("flood" + std::to_string(n++)).of("flood"));
    w.queue(st("patient").of("bob").in(priority_class::preemptible).without(excluded));
    w.now += 2'000;
    int starts = 0;
    for (; w.place_of("patient").empty() && starts < 200; ++starts) {
      w.queue(st("flood" + std::to_string(n++)).of("flood"));
      const auto* device = starts % 2 == 0 ? "a/cpu0" : "b/cpu0";
      auto next = std::find_if(w.running.begin(), w.running.end(),
                               [&](const auto& r) { return r.second.device.value == device; });
      w.end(next->first);
    }
    EXPECT_LE(starts, 40);
  }
}

} // namespace troupe::scheduling::testing
