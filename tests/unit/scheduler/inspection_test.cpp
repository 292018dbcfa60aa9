#include "world.hpp"

namespace troupe::scheduling::testing {

using st = stage_builder;

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

// A device is kept for who was passed over for long, and for whom another was stopped: the words are true of both.
TEST(why_waiting, names_no_size_where_a_device_is_kept_for_another) {
  world w;
  w.device("a/gpu0", 1, 8'000);
  w.queue(st("batch").of("bob").in(priority_class::preemptible));
  w.now += 10'000;
  w.queue(st("small").of("carol").in(priority_class::interactive));
  w.now += 2'500;
  EXPECT_TRUE(only<stop>(w.tell(tick{}))) << "room is made";
  w.queue(st("large").vram(6'000));
  EXPECT_EQ(w.why("large"), "reserved");
  EXPECT_EQ(w.core.why_waiting({{"large"}, 0})->text,
            "the one device that offers null.work is kept for another stage, which found no room");
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

TEST(eta, goes_by_the_accounts_cap_where_that_is_what_its_stages_wait_for) {
  limits bounds;
  bounds.in_flight_per_account = 4;
  world w(bounds);
  w.device("a/cpu0", 100);
  w.queue(st("bobs").of("bob"));
  for (int i = 0; i < 84; ++i)
    w.queue(st("f" + std::to_string(i)).takes(60'000));
  EXPECT_EQ(*w.core.eta_ms({{"f4"}, 0}), 15'000) << "of four, one ends each 15 s";
  EXPECT_EQ(*w.core.eta_ms({{"f83"}, 0}), 80 * 15'000);
  limits wide;
  wide.in_flight_per_account = 100;
  world idle(wide);
  idle.device("a/cpu0", 4);
  for (int i = 0; i < 84; ++i)
    idle.queue(st("f" + std::to_string(i)).takes(60'000));
  EXPECT_EQ(*idle.core.eta_ms({{"f83"}, 0}), 80 * 15'000) << "here the slots are what is short";
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

} // namespace troupe::scheduling::testing
