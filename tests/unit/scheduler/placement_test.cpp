#include "world.hpp"

namespace troupe::scheduling::testing {

using st = stage_builder;

TEST(placement, starts_a_stage_at_once_where_there_is_room) {
  world w;
  w.device("local/cpu0");
  auto out = w.queue(st("film"));
  ASSERT_EQ(out.size(), 1u);
  auto started = only<start>(out);
  EXPECT_EQ(started->device.value, "local/cpu0");
  EXPECT_EQ(started->attempt, (std::uint64_t{1} << 32) + 1);
}

TEST(placement, takes_the_tightest_fit_of_vram) {
  world w;
  w.device("a/large", 4, 80'000);
  w.device("b/small", 4, 12'000);
  w.device("c/tiny", 4, 4'000);
  w.queue(st("film").vram(8'000));
  EXPECT_EQ(w.place_of("film"), "b/small");
}

TEST(placement, prefers_a_device_that_has_the_model_warm_to_a_tighter_one) {
  world w;
  w.device("a/large", 4, 80'000);
  w.queue(st("first").model("wan").vram(8'000));
  w.end("first");
  w.device("b/small", 4, 12'000);
  w.queue(st("warm").model("wan").vram(8'000));
  w.queue(st("cold").model("sdxl").vram(8'000));
  EXPECT_EQ(w.place_of("warm"), "a/large");
  EXPECT_EQ(w.place_of("cold"), "b/small");
}

TEST(placement, forgets_the_model_used_longest_ago_when_vram_runs_out) {
  world w;
  w.device("a/gpu", 1, 16'000);
  w.device("b/gpu", 1, 24'000);
  for (const auto* model : {"one", "two"}) { // each fills a/gpu: "two" drives "one" out
    w.queue(st(model).model(model).vram(16'000));
    EXPECT_EQ(w.place_of(model), "a/gpu");
    w.end(model);
  }
  auto devices = w.core.inspect()["devices"];
  EXPECT_EQ(devices[0]["warm"], json::array({"two"}));
}

TEST(placement, forgets_no_model_that_a_stage_is_using) {
  world w;
  w.device("a/gpu", 2, 24'000);
  w.queue(st("long").model("used").vram(8'000));
  for (const auto* model : {"one", "two", "three"}) {
    w.queue(st(model).model(model).vram(8'000));
    w.end(model);
  }
  EXPECT_EQ(w.core.inspect()["devices"][0]["warm"], json::array({"used", "two", "three"}));
  w.queue(st("large").vram(16'000)); // of no model, and takes their place all the same
  EXPECT_EQ(w.core.inspect()["devices"][0]["warm"], json::array({"used"}));
}

// Goal: a model that was loaded is of use for a while before another takes its place, and no device rests for it.
// Method: two accounts with models of which one fits, and the one whose turn it is wants the other model.
TEST(placement, keeps_a_model_for_its_residency_while_there_is_work_for_it) {
  limits bounds;
  bounds.residency_min_ms = 5'000;
  world w(bounds);
  w.device("a/gpu", 1, 24'000);
  auto alices = [](int i) { return st("alice" + std::to_string(i)).of("alice").model("wan").vram(16'000); };
  auto bobs = [](int i) { return st("bob" + std::to_string(i)).of("bob").model("sdxl").vram(16'000); };
  w.queue(alices(0).takes(60'000));
  auto loaded = w.now + 2'000; // a load is taken for 2 s
  w.queue(alices(1).takes(60'000));
  w.queue(alices(2).takes(60'000));
  w.queue(bobs(0));
  w.now = loaded + 1'000;
  w.end("alice0", outcome::ok, 60'000);
  ASSERT_EQ(w.place_of("alice1"), "a/gpu") << "it is bob's turn, but the model has just been loaded";
  w.now = loaded + 5'000;
  w.end("alice1", outcome::ok, 60'000);
  ASSERT_EQ(w.place_of("bob0"), "a/gpu");
  w.tell(stage_withdrawn{{{"alice2"}, 0}});
  w.end("bob0");
  w.queue(alices(3));
  EXPECT_EQ(w.place_of("alice3"), "a/gpu") << "nothing else waits: the device does not rest";
}

TEST(placement, takes_the_least_loaded_among_equals) {
  world w;
  w.device("a/cpu0", 2);
  w.device("b/cpu0", 2);
  w.queue(st("one"));
  w.queue(st("two"));
  EXPECT_NE(w.place_of("one"), w.place_of("two"));
}

TEST(placement, prefers_a_node_that_has_the_inputs) {
  world w;
  w.device("a/cpu0", 2);
  w.device("b/cpu0", 2);
  w.queue(st("film").near("b"));
  EXPECT_EQ(w.place_of("film"), "b/cpu0");
}

TEST(placement, never_starts_more_than_slots_or_vram_allow) {
  world w;
  w.device("a/gpu", 3, 10'000);
  for (int i = 0; i < 6; ++i)
    w.queue(st("big" + std::to_string(i)).vram(4'000));
  EXPECT_EQ(w.running.size(), 2u); // VRAM
  for (int i = 0; i < 6; ++i)
    w.queue(st("small" + std::to_string(i)));
  EXPECT_EQ(w.running.size(), 3u); // slots
}

TEST(placement, runs_a_stage_only_where_its_kind_is_offered) {
  world w;
  w.device("a/cpu0", 1, 0, {"ffmpeg.concat"});
  w.queue(st("film").kind("scene.video"));
  EXPECT_EQ(w.place_of("film"), "");
  EXPECT_FALSE(w.core.offered("scene.video"));
  w.device("b/cpu0", 1, 0, {"scene.image", "scene.video"});
  EXPECT_EQ(w.place_of("film"), "b/cpu0");
  EXPECT_TRUE(w.core.offered("scene.video"));
}

TEST(placement, serves_kinds_that_a_device_only_offers_after_reconnecting) {
  world w;
  w.device("a/cpu0", 1, 0, {"scene.image"});
  w.queue(st("film").kind("scene.video"));
  w.device("a/cpu0", 1, 0, {"scene.image", "scene.video"});
  EXPECT_EQ(w.place_of("film"), "a/cpu0");
}

TEST(placement, keeps_what_runs_on_a_device_that_comes_back_smaller_and_starts_no_more) {
  world w;
  w.device("a/cpu0", 3);
  for (const auto* job : {"one", "two", "three", "four"})
    w.queue(st(job));
  w.device("a/cpu0", 1);
  EXPECT_EQ(w.core.running(), 3u);
  w.end("one");
  w.end("two");
  EXPECT_EQ(w.place_of("four"), "");
  w.end("three");
  EXPECT_EQ(w.place_of("four"), "a/cpu0");
}

// Goal: a stage that needs a whole device starts although small ones would fill every gap. Method: keep a two-slot
// device busy with small stages, one always running, until the large one has waited too long.
TEST(placement, keeps_a_device_for_a_large_stage_that_small_ones_would_keep_out_for_ever) {
  world w;
  w.device("a/gpu", 2, 10'000);
  w.queue(st("s0").vram(1'000).of("small"));
  w.queue(st("s1").vram(1'000).of("small"));
  w.queue(st("large").vram(10'000).of("large"));
  std::string other = "s0", last = "s1";
  for (int i = 2; i < 100 && w.place_of("large").empty(); ++i) {
    auto next = "s" + std::to_string(i);
    w.queue(st(next).vram(1'000).of("small"));
    w.now += 2'000;
    w.tell(tick{});
    if (w.running.contains({{other}, 0}))
      w.end(other);
    other = std::exchange(last, next);
  }
  for (auto left = w.running; const auto& [ref, at] : left)
    if (ref.job.value != "large")
      w.end(ref);
  EXPECT_EQ(w.place_of("large"), "a/gpu");
}

// A device of 10,000 MiB on which a stage runs that takes a minute, and which is kept for one that wants all of it.
class backfill : public ::testing::Test {
protected:
  backfill() : w(bounds()) {
    w.device("a/gpu", 3, 10'000, {"long", "short", "new"});
    for (int i = 0; i < 20; ++i) {
      learn("long", 60'000);
      learn("short", 1'000);
    }
    w.queue(st("running").kind("long").vram(5'000).of("alice"));
    began = w.now;
  }
  static limits bounds() {
    limits out;
    out.reserve_after_ms = 1'000;
    return out;
  }
  void learn(const std::string& kind, std::uint32_t run_ms) {
    w.queue(st("past").kind(kind));
    w.end("past", outcome::ok, run_ms);
  }
  void keep_for(std::uint32_t vram) {
    w.queue(st("large").kind("new").vram(vram).of("large"));
    w.now += 2'000;
    w.tell(tick{});
    ASSERT_EQ(w.place_of("large"), "");
    ASSERT_EQ(w.core.inspect()["devices"][0]["reserved"], true);
  }
  std::string place_after_tick(const stage_builder& stage) {
    w.queue(stage);
    w.tell(tick{});
    return w.place_of(stage.asked.ref.job.value);
  }

  world w;
  timestamp began = 0;
};

TEST_F(backfill, starts_a_stage_that_ends_before_what_the_device_is_kept_for_could_begin) {
  keep_for(10'000);
  EXPECT_EQ(place_after_tick(st("early").kind("short").vram(1'000)), "a/gpu");
  w.end("early");
  w.now = began + 59'000;
  EXPECT_EQ(place_after_tick(st("late").kind("short").vram(1'000)), "");
  w.end("running");
  EXPECT_EQ(w.place_of("large"), "a/gpu");
}

TEST_F(backfill, starts_nothing_whose_end_nobody_knows) {
  keep_for(10'000);
  EXPECT_EQ(place_after_tick(st("unknown").kind("new").vram(1'000)), "");
  EXPECT_EQ(w.why("unknown"), "reserved");
}

TEST_F(backfill, starts_nothing_beside_what_may_end_at_any_time) {
  w.queue(st("unsure").kind("new").vram(1'000));
  w.end("running");
  keep_for(10'000);
  EXPECT_EQ(place_after_tick(st("early").kind("short").vram(1'000)), "");
}

TEST_F(backfill, starts_a_stage_of_any_length_that_fits_beside_what_the_device_is_kept_for) {
  keep_for(6'000);
  EXPECT_EQ(place_after_tick(st("wide").kind("new").vram(4'001)), "");
  EXPECT_EQ(place_after_tick(st("narrow").kind("new").vram(4'000)), "a/gpu");
  w.end("running");
  EXPECT_EQ(w.place_of("large"), "a/gpu");
}

TEST(placement, learns_how_long_stages_take) {
  world w;
  w.device("a/cpu0");
  for (int i = 0; i < 8; ++i) {
    w.queue(st("f" + std::to_string(i)).takes(60'000));
    w.end("f" + std::to_string(i), outcome::ok, 500);
  }
  w.queue(st("running").takes(60'000));
  w.queue(st("waiting").takes(60'000));
  EXPECT_EQ(*w.core.eta_ms({{"waiting"}, 0}), 500);
}

} // namespace troupe::scheduling::testing
