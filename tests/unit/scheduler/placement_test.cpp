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

device_up gpu_that_needs(const std::string& id, std::uint32_t slots, std::uint32_t vram_mib, std::uint32_t need_mib) {
  device_up out{{id}, {id.substr(0, id.find('/'))}, "cuda", {"null.work"}, slots, vram_mib};
  out.needs = {{"null.work", need_mib}};
  return out;
}

// Goal: each device is filled by what its own engine needs. Method: a large one with a large model, a small one with a
// small model of the same kind.
TEST(placement, a_stage_takes_of_a_device_what_its_kind_needs_there) {
  world w;
  w.tell(gpu_that_needs("a/large", 4, 80'000, 36'000));
  w.tell(gpu_that_needs("b/small", 4, 24'000, 8'000));
  for (int i = 0; i < 7; ++i)
    w.queue(st("film" + std::to_string(i)));
  std::map<std::string, int> on;
  for (const auto& [ref, at] : w.running)
    ++on[at.device.value];
  EXPECT_EQ(on, (std::map<std::string, int>{{"a/large", 2}, {"b/small", 3}}));
  std::map<std::string, int> used;
  const auto state = w.core.inspect();
  for (const auto& device : state.at("devices"))
    used[device.at("device")] = device.at("vram_used_mib");
  EXPECT_EQ(used, (std::map<std::string, int>{{"a/large", 72'000}, {"b/small", 24'000}}));
}

TEST(placement, a_stage_takes_what_it_asks_for_itself_where_that_is_more) {
  world w;
  w.tell(gpu_that_needs("a/gpu", 4, 24'000, 8'000));
  w.queue(st("large").vram(16'000));
  w.queue(st("small"));
  w.queue(st("waits"));
  EXPECT_EQ(w.place_of("large"), "a/gpu");
  EXPECT_EQ(w.place_of("small"), "a/gpu");
  EXPECT_EQ(w.place_of("waits"), "");
}

TEST(placement, follows_what_a_kind_needs_when_a_device_says_so) {
  world w;
  w.tell(gpu_that_needs("b/small", 1, 24'000, 60'000));
  for (const auto* job : {"one", "two"})
    w.queue(st(job));
  w.queue(st("without").without("c/other"));
  EXPECT_EQ(w.why("one"), "too_large");
  w.tell(gpu_that_needs("b/small", 1, 24'000, 8'000)); // another engine
  std::vector<std::string> ran;
  while (!w.running.empty()) {
    ran.push_back(w.running.begin()->first.job.value);
    w.end(ran.back());
  }
  EXPECT_EQ(ran.size(), 3u);
  EXPECT_LT(std::find(ran.begin(), ran.end(), "one"), std::find(ran.begin(), ran.end(), "two"));
}

// Goal: a device with the model loaded is found though others that have it, too, have less room than the kind needs.
TEST(placement, finds_the_warm_device_that_has_room_for_what_the_kind_needs) {
  world w;
  for (int i = 0; i < 20; ++i)
    w.tell(gpu_that_needs("full" + std::to_string(i) + "/gpu", 2, 24'000, 16'000));
  for (int i = 0; i < 20; ++i)
    w.queue(st("runs" + std::to_string(i)).model("wan"));
  w.tell(gpu_that_needs("a/warm", 1, 24'000, 16'000));
  w.queue(st("first").model("wan"));
  ASSERT_EQ(w.place_of("first"), "a/warm");
  w.end("first");
  w.tell(gpu_that_needs("b/cold", 1, 20'000, 16'000));
  w.queue(st("next").model("wan"));
  EXPECT_EQ(w.place_of("next"), "a/warm");
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
    w.queue(st("before-it").kind("short").vram(1));
    w.end("before-it", outcome::ok, 1'000);
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

// Goal: what is let in for as long as it likes delays nothing, whichever of those that run ends first. Method: the long
// one of them must not be counted as gone.
TEST(backfilling, lets_nothing_in_that_fits_only_once_all_have_ended) {
  limits bounds;
  bounds.reserve_after_ms = 1'000;
  world w(bounds);
  w.device("a/gpu", 4, 80'000);
  w.queue(st("long").vram(20'000));
  w.queue(st("short").vram(50'000));
  w.queue(st("large").vram(60'000).of("large"));
  w.queue(st("small").vram(1'000).takes(5'000));
  w.end("small", outcome::ok, 5'000);
  w.now += 2'000;
  w.tell(tick{});
  ASSERT_EQ(w.core.inspect()["devices"][0]["reserved"], true);
  w.queue(st("beside").vram(10'000));
  w.tell(tick{});
  EXPECT_EQ(w.place_of("beside"), "");
  w.end("short");
  EXPECT_EQ(w.place_of("large"), "a/gpu");
  EXPECT_EQ(w.place_of("beside"), "") << "there is no room for all three";
}

// Goal: a device is kept for who is passed over because it is large, not for who is waiting for its turn.
TEST(reservations, are_for_who_did_not_fit_when_its_turn_came) {
  limits bounds;
  bounds.reserve_after_ms = 1'000;
  world w(bounds);
  w.device("a/gpu", 2, 24'000);
  w.queue(st("a").vram(8'000));
  w.queue(st("b").vram(8'000));
  w.queue(st("large").vram(20'000).of("bob"));
  w.now += 5'000;
  w.tell(tick{});
  EXPECT_EQ(w.core.inspect()["devices"][0]["reserved"], false) << "nobody has begun in its turn";
  w.queue(st("c").vram(8'000));
  w.end("a");
  ASSERT_EQ(w.place_of("c"), "a/gpu");
  w.now += 500;
  w.tell(tick{});
  EXPECT_EQ(w.core.inspect()["devices"][0]["reserved"], false);
  w.now += 1'000;
  w.tell(tick{});
  EXPECT_EQ(w.core.inspect()["devices"][0]["reserved"], true);
  w.queue(st("d").vram(8'000));
  w.end("b");
  EXPECT_EQ(w.place_of("d"), "");
  w.end("c");
  EXPECT_EQ(w.place_of("large"), "a/gpu");
}

TEST(reservations, are_not_for_who_is_behind_in_turn) {
  limits bounds;
  bounds.reserve_after_ms = 1'000;
  world w(bounds);
  w.device("a/gpu", 2, 24'000);
  w.queue(st("bobs").of("bob").vram(8'000));
  w.queue(st("first").vram(8'000));
  w.queue(st("second").vram(8'000));
  w.queue(st("large").of("bob").vram(20'000));
  w.end("bobs", outcome::ok, 600'000);
  ASSERT_EQ(w.place_of("second"), "a/gpu");
  w.now += 5'000;
  w.tell(tick{});
  EXPECT_EQ(w.core.inspect()["devices"][0]["reserved"], false) << "bob has had ten minutes";
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

// What very many stages failed on is not looked at by every decision for each of them.
TEST(placement, keeps_no_more_sorts_of_work_where_everything_fails) {
  scheduler_core core({}, 1);
  std::vector<command> out;
  for (int d = 0; d < 40; ++d)
    core.apply(device_up{{"n/cpu" + std::to_string(d)}, {"n"}, "cpu", {"null.work"}, 1, 0}, 1, out);
  for (int i = 0; i < 3'000; ++i) {
    auto stage = st("j" + std::to_string(i)).without("n/cpu" + std::to_string(i % 40));
    core.apply(stage_queued{stage.without("n/cpu" + std::to_string(i / 40 % 40)).asked}, 1, out);
  }
  EXPECT_LE(core.inspect()["counts"]["buckets"], 1'002);
  for (timestamp now = 500; now < 30'000; now += 500)
    core.apply(tick{}, now, out);
  EXPECT_LE(core.inspect()["counts"]["buckets"], 50) << "those that run, and one";
  core.check_invariants();
}

// Goal: a node that names more types of devices than are remembered takes no other one's place for longer than it is
// there. Method: a device on which something has run, those of invented types, which leave, and one of another type.
TEST(placement, types_of_devices_that_have_left_make_room) {
  world w;
  auto join = [&](const std::string& node, const std::string& type) {
    w.tell(device_up{{node + "/gpu0"}, {node}, type, {"null.work"}, 1, 0});
  };
  auto leave = [&](const std::string& node) { w.tell(device_down{{node + "/gpu0"}}); };
  auto run_on = [&](const std::string& type, std::uint32_t run_ms) {
    join(type, type);
    w.queue(st("film").without("cuda/known/gpu0"));
    w.end("film", outcome::ok, run_ms);
  };
  run_on("cuda/known", 7'000);
  auto flood = [&](auto what) {
    for (int i = 0; i < 300; ++i)
      what("liar" + std::to_string(i));
  };
  flood([&](const std::string& node) { join(node, "cuda/" + node); });
  auto all = w.core.inspect(1'000);
  EXPECT_EQ(all.at("devices").at(300).at("type"), "other") << "types beyond 256 are one";
  flood([&](const std::string& node) { leave(node); });
  run_on("cuda/new", 3'000);
  std::map<std::string, int> known;
  const auto state = w.core.inspect();
  for (const auto& row : state.at("run_times"))
    known[row.at("type")] = row.at("mean_ms");
  EXPECT_EQ(known, (std::map<std::string, int>{{"cuda/known", 7'000}, {"cuda/new", 3'000}}));
}

} // namespace troupe::scheduling::testing
