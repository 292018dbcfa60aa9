#include "world.hpp"

// Turns of accounts whose kinds of work share some devices, or none.

#include <functional>

namespace troupe::scheduling::testing {

using st = stage_builder;

TEST(fairness, what_is_used_elsewhere_costs_nothing_here) {
  world w;
  w.device("a/cpu0", 1, 0, {"k.a"});
  w.device("b/cpu0", 1, 0, {"k.b"});
  for (int i = 0; i < 20; ++i) { // alice has a/cpu0 for herself
    w.queue(st("alice-a" + std::to_string(i)).of("alice").kind("k.a"));
    w.end("alice-a" + std::to_string(i), outcome::ok, 60'000);
  }
  int of_alice = 0;
  for (int i = 0; i < 40; ++i) {
    w.queue(st("alice-b" + std::to_string(i)).of("alice").kind("k.b"));
    w.queue(st("bob-b" + std::to_string(i)).of("bob").kind("k.b"));
  }
  for (int i = 0; i < 40; ++i)
    of_alice += only<start>(w.end(w.running.begin()->first))->ref.job.value.starts_with("alice") ? 1 : 0;
  EXPECT_NEAR(of_alice, 20, 1);
}

// Goal: use of devices that two kinds share counts for both, also after a class of devices has come that offers one of
// them only. Method: alice has had far more than bob when it comes.
TEST(fairness, kinds_part_when_devices_come_that_offer_one_of_them_and_keep_what_was_used) {
  world w;
  w.device("a/cpu0", 1, 0, {"k.a", "k.b"});
  w.queue(st("bob-first").of("bob").kind("k.a")); // he is there from the start
  for (const auto* kind : {"k.a", "k.b"})
    for (int i = 0; i < 20; ++i)
      w.queue(st("alice" + std::string(kind) + std::to_string(i)).of("alice").kind(kind));
  for (int i = 0; i < 20; ++i)
    w.end(w.running.begin()->first);
  for (const auto* kind : {"k.a", "k.b"})
    for (int i = 0; i < 10; ++i)
      w.queue(st("bob" + std::string(kind) + std::to_string(i)).of("bob").kind(kind));
  auto before = w.core.inspect()["accounts"];
  w.device("b/cpu0", 1, 0, {"k.b"});
  for (const auto& row : before)
    EXPECT_EQ(row["virtual_ms"]["k.a"], row["virtual_ms"]["k.b"]);
  int left = 0;
  while (!w.running.empty() && left++ < 100)
    w.end(w.running.begin()->first);
  EXPECT_EQ(w.core.stages(), 0u);
  auto after = w.core.inspect()["accounts"];
  EXPECT_NE(after[0]["virtual_ms"]["k.a"], after[0]["virtual_ms"]["k.b"]) << "b/cpu0 counts for one of them";
}

// Goal: who was at its cap is served once it no longer is, by a device that has had room all the while. Method: its
// stage changes pools meanwhile, for a device that is too small for it.
TEST(fairness, kinds_that_part_forget_nobody_who_is_at_its_cap) {
  limits bounds;
  bounds.in_flight_per_account = 1;
  world w(bounds);
  w.device("z/gpu0", 1, 4'000, {"k.c"});
  w.device("x/gpu0", 2, 4'000, {"k.a", "k.b"});
  w.queue(st("bob").of("bob").kind("k.b"));
  w.queue(st("runs").kind("k.c"));
  w.queue(st("waits").kind("k.a").vram(2'000));
  ASSERT_EQ(w.why("waits"), "account_cap");
  w.device("y/gpu0", 1, 1'000, {"k.a"});
  w.end("runs");
  EXPECT_EQ(w.place_of("waits"), "x/gpu0");
}

// Goal: who comes joins where those stand who are served with such work, not with other work of the same devices.
// Method: the device's second slot is of use only for work of an account that was given much elsewhere.
TEST(fairness, a_newcomer_does_not_join_behind_what_was_served_elsewhere) {
  world w;
  w.device("x/cpu0", 1, 0, {"k.a"});
  for (int i = 0; i < 100; ++i) {
    w.queue(st("old" + std::to_string(i)).of("old").kind("k.a"));
    w.end("old" + std::to_string(i), outcome::ok, 60'000);
  }
  w.queue(st("old-x").of("old").kind("k.a"));
  w.device("y/gpu", 2, 10'000, {"k.a", "k.b"});
  int n = 0;
  auto queue = [&](const std::string& account) {
    w.queue(st(account + std::to_string(n++)).of(account).kind("k.b").vram(6'000));
  };
  for (int i = 0; i < 20; ++i)
    queue("first");
  w.queue(st("old-y").of("old").kind("k.a"));
  ASSERT_EQ(w.place_of("old-y"), "y/gpu");
  for (int i = 0; i < 20; ++i)
    queue("second");
  int of_second = 0;
  for (int i = 0; i < 20; ++i) {
    auto next = std::find_if(w.running.begin(), w.running.end(),
                             [](const auto& r) { return !r.first.job.value.starts_with("old"); });
    of_second += next->first.job.value.starts_with("second") ? 1 : 0;
    w.end(next->first);
  }
  EXPECT_NEAR(of_second, 10, 1);
}

namespace {

// One GPU that two kinds share, and CPUs that offer the one of them only.
struct shared_gpu {
  static constexpr int cpus = 10;
  world w;
  int made = 0;
  std::map<std::string, int> begun; // on the GPU, by account

  shared_gpu() {
    for (int i = 0; i < cpus; ++i)
      w.device("c" + std::to_string(i) + "/cpu0", 1, 0, {"k.a"});
    w.device("g/gpu0", 1, 0, {"k.a", "k.b"});
  }
  void keep_waiting(const std::string& account, const std::string& kind, std::uint32_t estimate_ms = 10'000) {
    while (w.core.load_of({account}).waiting < 2)
      note(w.queue(st(account + "-" + std::to_string(made++)).of(account).kind(kind).takes(estimate_ms)));
  }
  void note(const std::vector<command>& out) {
    for (const auto& c : out)
      if (const auto* s = std::get_if<start>(&c); s != nullptr && s->device.value == "g/gpu0")
        ++begun[s->ref.job.value.substr(0, s->ref.job.value.find('-'))];
  }
  /// All that runs ends after ten seconds, and something of each account waits all the while.
  void turn(const std::map<std::string, std::string>& kinds) {
    w.now += 10'000;
    for (const auto& [ref, at] : std::map(w.running)) {
      for (const auto& [account, kind] : kinds)
        keep_waiting(account, kind);
      note(w.end(ref, outcome::ok, 10'000));
    }
    w.tell(tick{});
  }
};

} // namespace

TEST(fairness, whoever_has_no_other_device_gets_the_one_that_others_could_do_without) {
  shared_gpu s;
  s.keep_waiting("old", "k.a");
  s.keep_waiting("only", "k.b");
  for (int i = 0; i < 20; ++i)
    s.turn({{"old", "k.a"}, {"only", "k.b"}});
  s.begun.clear();
  for (int i = 0; i < 200; ++i)
    s.turn({{"old", "k.a"}, {"only", "k.b"}});
  EXPECT_GE(s.begun["only"], 190);
}

// Goal: what was used of devices that others could not use does not count against who comes once those have gone.
// Method: for long the CPUs were at work, beside an account whose first estimate was far too high; they go, and an
// account comes that wants the same as their user.
TEST(fairness, hours_on_devices_of_its_own_cost_a_kind_no_turns_where_it_shares) {
  shared_gpu s;
  s.keep_waiting("old", "k.a");
  s.keep_waiting("only", "k.b", 36'000'000);
  for (int i = 0; i < 200; ++i)
    s.turn({{"old", "k.a"}, {"only", "k.b"}});
  for (int i = 0; i < shared_gpu::cpus; ++i)
    s.w.tell(device_down{{"c" + std::to_string(i) + "/cpu0"}});
  s.begun.clear();
  for (int i = 0; i < 60; ++i)
    s.turn({{"only", "k.b"}, {"new", "k.a"}});
  EXPECT_GE(s.begun["new"], 16) << "of those who want its kind it and another share what is left";
  EXPECT_GE(s.begun["only"], 20);
}

// Goal: who has been given its share ahead, in a long stage, does not lose it for being behind meanwhile. Method: ten
// minutes a stage for who can use the one of two devices only, ten seconds for three who use both.
TEST(fairness, a_long_stage_on_shared_devices_costs_its_account_no_more_than_it_takes) {
  limits bounds;
  bounds.aging_period = 0; // one of 64 starts is more than the share, where stages are that long
  world w(bounds);
  w.device("c/cpu0", 1, 0, {"k.a"});
  w.device("g/gpu0", 1, 0, {"k.a", "k.b"});
  std::map<std::string, double> got;
  std::map<timestamp, std::vector<stage_ref>> ends;
  int made = 0;
  auto run_ms = [](const std::string& account) { return account == "long" ? 600'000u : 10'000u; };
  auto account_of = [](const stage_ref& ref) { return ref.job.value.substr(0, ref.job.value.find('-')); };
  auto queue = [&](const std::string& account) {
    return w.queue(st(account + "-" + std::to_string(made++))
                       .of(account)
                       .kind(account == "long" ? "k.b" : "k.a")
                       .takes(run_ms(account)));
  };
  std::function<void(const std::vector<command>&)> note = [&](const std::vector<command>& out) {
    for (const auto& c : out)
      if (const auto* s = std::get_if<start>(&c)) {
        ends[w.now + run_ms(account_of(s->ref))].push_back(s->ref);
        note(queue(account_of(s->ref))); // one more than runs
      }
  };
  for (const auto* account : {"long", "one", "two", "three"})
    for (int i = 0; i < 4; ++i)
      note(queue(account));
  const auto until = w.now + 100 * 600'000;
  while (w.now < until) {
    auto next = ends.extract(ends.begin());
    for (; w.now + 500 < next.key(); w.now += 500)
      w.core.apply(tick{}, w.now);
    w.now = next.key();
    for (const auto& ref : next.mapped()) {
      got[account_of(ref)] += run_ms(account_of(ref));
      note(w.end(ref, outcome::ok, run_ms(account_of(ref))));
    }
  }
  EXPECT_NEAR(share(got, "long"), 0.25, 0.02);
}

} // namespace troupe::scheduling::testing
