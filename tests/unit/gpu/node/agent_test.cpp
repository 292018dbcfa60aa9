#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::node;
using namespace troupe::node::support;

namespace {

struct agent_test : ::testing::Test {
  scratch_folder folder;
  head h;
  link::key_pair keys = link::make_key_pair();
  std::shared_ptr<stage_watch> watch = std::make_shared<stage_watch>();
  std::unique_ptr<running_agent> node;

  void start(const std::function<void(agent_options&)>& adjust = {}) {
    h.allow(keys.public_key);
    node = std::make_unique<running_agent>(h.endpoint(), h.keys().public_key, keys, folder.path, watch, adjust);
    ASSERT_TRUE(h.wait_for<wire::hello>());
  }
  void TearDown() override { watch->gate = true; }
  void assign(wire::assign what) { ASSERT_TRUE(h.link->send(h.last_connection(), std::move(what))); }
  template <class Message>
  Message next(std::size_t number = 1) {
    EXPECT_TRUE(h.wait_for<Message>(number));
    auto all = h.all<Message>();
    return all.size() >= number ? all[number - 1].second : Message{};
  }
};

} // namespace

TEST_F(agent_test, introduces_its_devices_and_engines) {
  start();
  auto hello = next<wire::hello>();
  EXPECT_EQ(hello.node, "n1");
  EXPECT_EQ(hello.version, wire::protocol_version);
  ASSERT_EQ(hello.devices.size(), 1u);
  EXPECT_EQ(hello.devices[0].name, "cpu0");
  EXPECT_EQ(hello.devices[0].slots, 2u);
  EXPECT_EQ(hello.devices[0].kinds.size(), 8u);
  ASSERT_EQ(hello.engines.size(), 1u);
  EXPECT_EQ(hello.engines[0].name, "test");
  EXPECT_TRUE(hello.running.empty() && hello.unacknowledged.empty());
}

// Goal: what the operator keeps from the head is in no hello. Method: a library stands in for the driver of two cards.
TEST_F(agent_test, offers_what_the_operator_leaves_it) {
  start([](agent_options& options) {
    options.cuda_driver = FAKE_CUDA_DRIVER;
    options.offered.devices_disabled = {"cuda0"};
    options.offered.slots = {{"cuda", 3}};
    options.offered.vram_reserved_mib = {{"cuda2", 4'096}};
    options.offered.engines_disabled = {"test.fail"};
  });
  auto hello = next<wire::hello>();
  ASSERT_EQ(hello.devices.size(), 2u);
  EXPECT_EQ(hello.devices[0].kinds.size(), 7u);
  EXPECT_EQ(hello.devices[1].name, "cuda2");
  EXPECT_EQ(hello.devices[1].slots, 3u);
  EXPECT_EQ(hello.devices[1].vram_mib, 20u << 10);
  assign(stage(0, "test.fail"));
  EXPECT_EQ(next<wire::failed>().fault, "device") << "what is not offered is not done either";
}

TEST_F(agent_test, an_engine_that_is_left_out_says_so_and_offers_nothing) {
  start([](agent_options& options) { options.offered.engines_disabled = {"test"}; });
  auto hello = next<wire::hello>();
  ASSERT_EQ(hello.engines.size(), 1u);
  EXPECT_FALSE(hello.engines[0].available);
  EXPECT_NE(hello.engines[0].reason.find("engines.disabled"), std::string::npos);
  EXPECT_TRUE(hello.devices.at(0).kinds.empty());
}

TEST_F(agent_test, a_finished_stage_has_its_file_on_the_head) {
  start();
  assign(stage(0, "test.write", {{"text", "hello"}}));
  auto done = next<wire::finished>();
  EXPECT_EQ(done.ref, (wire::attempt_ref{"job1", 0, 1}));
  EXPECT_EQ(done.engine, "test/1");
  ASSERT_EQ(done.outputs.size(), 1u);
  EXPECT_EQ(done.outputs[0].sha256, sha256_hex("hello"));
  EXPECT_EQ(done.outputs[0].bytes, 5u);
  EXPECT_EQ(done.outputs[0].metadata, (json{{"length", 5}}));
  EXPECT_EQ(h.blobs.content(sha256_hex("hello")), "hello");
  EXPECT_TRUE(wait_until([&] { return std::filesystem::is_empty(folder.path / "unacknowledged"); }))
      << "what is acknowledged is forgotten";
  EXPECT_TRUE(wait_until([&] {
    return std::filesystem::is_empty(folder.path / "work" / "cpu0-0") &&
           std::filesystem::is_empty(folder.path / "work" / "cpu0-1");
  }));
}

TEST_F(agent_test, inputs_are_fetched_once_and_then_come_from_the_cache) {
  start();
  h.blobs.add("one ");
  h.blobs.add("two ");
  assign(stage(0, "test.write", {{"text", "three"}}, {input_of("one "), input_of("two ")}));
  EXPECT_EQ(next<wire::finished>().outputs.at(0).sha256, sha256_hex("one two three"));
  (void)h.blobs.remove(sha256_hex("one "));
  assign(stage(1, "test.write", {{"text", "!"}}, {input_of("one "), input_of("one two three")}));
  EXPECT_EQ(next<wire::finished>(2).outputs.at(0).sha256, sha256_hex("one one two three!"));
}

TEST_F(agent_test, an_input_that_is_missing_or_corrupt_is_named) {
  start();
  assign(stage(0, "test.write", {}, {input_of("never made")}));
  auto missing = next<wire::failed>();
  EXPECT_EQ(missing.fault, "missing_input");
  EXPECT_EQ(missing.artifact, sha256_hex("never made"));
  h.blobs.add("spoiled");
  h.blobs.spoil(sha256_hex("spoiled"));
  assign(stage(1, "test.write", {}, {input_of("spoiled")}));
  auto corrupt = next<wire::failed>(2);
  EXPECT_EQ(corrupt.fault, "corrupt_input");
  EXPECT_EQ(corrupt.artifact, sha256_hex("spoiled"));
  EXPECT_EQ(h.corrupt(), std::vector<std::string>{sha256_hex("spoiled")});
  auto lied = input_of("abc");
  h.blobs.add("abc");
  lied.bytes = 4;
  assign(stage(2, "test.write", {}, {lied}));
  EXPECT_EQ(next<wire::failed>(3).fault, "corrupt_input");
  EXPECT_EQ(watch->runs, 0);
}

TEST_F(agent_test, a_large_artifact_travels_both_ways_in_chunks) {
  start();
  constexpr std::size_t bytes = (20 << 20) + 12345;
  assign(stage(0, "test.big", {{"bytes", bytes}}));
  auto made = next<wire::finished>().outputs.at(0);
  EXPECT_EQ(made.bytes, bytes);
  EXPECT_EQ(h.blobs.size(made.sha256), bytes);
  auto big = std::string(bytes, 'c');
  h.blobs.add(big);
  assign(stage(1, "test.write", {{"text", "end"}}, {input_of(big)}));
  auto used = next<wire::finished>(2);
  EXPECT_EQ(used.outputs.at(0).bytes, bytes + 3);
  EXPECT_GE(used.transfer_ms, 1) << "20 MiB";
}

// Goal: what is told of a fetch is the fetch, and not the run. Method: the run waits for longer than the fetch took,
// and the file is here already the second time.
TEST_F(agent_test, tells_how_long_fetching_took_apart_from_the_run) {
  start();
  auto big = std::string(8 << 20, 'x');
  h.blobs.add(big);
  auto held = stage(0, "test.hold", {}, {input_of(big)});
  assign(held);
  ASSERT_TRUE(wait_until([&] { return watch->now == 1; }));
  auto began = steady_ms();
  ASSERT_TRUE(wait_until([&] { return steady_ms() - began >= 300; }));
  watch->gate = true;
  auto fetched = next<wire::finished>();
  EXPECT_GE(fetched.run_ms, 300u);
  EXPECT_GE(fetched.transfer_ms, 1);
  assign(stage(1, "test.hold", {}, {input_of(big)}));
  EXPECT_LT(next<wire::finished>(2).transfer_ms, fetched.transfer_ms) << "from the cache";
}

TEST_F(agent_test, a_cancelled_stage_stops_within_a_second) {
  start();
  assign(stage(0, "test.hold"));
  ASSERT_TRUE(wait_until([&] { return watch->now == 1; }));
  auto began = steady_ms();
  h.link->send(h.last_connection(), wire::cancel{{"job1", 0, 1}});
  auto gone = next<wire::failed>();
  EXPECT_EQ(gone.fault, "cancelled");
  EXPECT_LT(steady_ms() - began, 1000);
  EXPECT_EQ(watch->cancels, 1);
}

TEST_F(agent_test, a_stage_that_waits_for_a_slot_is_cancelled_without_one) {
  start();
  for (std::uint32_t i = 0; i < 3; ++i)
    assign(stage(i, "test.hold"));
  ASSERT_TRUE(wait_until([&] { return watch->now == 2; }));
  h.link->send(h.last_connection(), wire::cancel{{"job1", 2, 1}});
  EXPECT_EQ(next<wire::failed>().ref.stage, 2u);
  EXPECT_EQ(watch->runs, 2);
  h.link->send(h.last_connection(), wire::cancel{{"job1", 77, 1}});
  EXPECT_EQ(next<wire::failed>(2).fault, "cancelled") << "what is not here is said not to be here";
}

TEST_F(agent_test, a_stage_that_takes_too_long_is_a_timeout) {
  start();
  auto slow = stage(0, "test.hold");
  slow.timeout_ms = 150;
  assign(slow);
  auto late = next<wire::failed>();
  EXPECT_EQ(late.fault, "timeout");
  EXPECT_GE(late.run_ms, 150u);
  EXPECT_LT(late.run_ms, 1500u);
}

TEST_F(agent_test, failures_of_an_engine_are_told_in_their_kind_and_leak_nothing) {
  start();
  assign(stage(0, "test.fail"));
  auto bad = next<wire::failed>();
  EXPECT_EQ(bad.fault, "bad_input");
  EXPECT_EQ(bad.message, "the text is no good");
  assign(stage(1, "test.throw"));
  auto thrown = next<wire::failed>(2);
  EXPECT_EQ(thrown.fault, "unknown");
  EXPECT_EQ(thrown.message.find("secret"), std::string::npos);
  assign(stage(2, "test.lie"));
  EXPECT_EQ(next<wire::failed>(3).fault, "unknown");
  assign(stage(3, "test.dance"));
  EXPECT_EQ(next<wire::failed>(4).fault, "device");
  auto elsewhere = stage(4, "test.write");
  elsewhere.device = "cuda7";
  assign(elsewhere);
  EXPECT_EQ(next<wire::failed>(5).fault, "device");
  assign(stage(5, "test.write"));
  EXPECT_EQ(next<wire::finished>().ref.stage, 5u) << "the slots go on";
}

TEST_F(agent_test, an_attempt_assigned_twice_runs_once_and_a_newer_one_replaces_it) {
  start();
  assign(stage(0, "test.hold"));
  assign(stage(0, "test.hold"));
  ASSERT_TRUE(wait_until([&] { return watch->now == 1; }));
  assign(stage(0, "test.hold", {}, {}, 3));
  EXPECT_EQ(next<wire::failed>().ref.attempt, 1u);
  assign(stage(0, "test.hold", {}, {}, 2)); // older than what runs: too late
  h.link->send(h.last_connection(), wire::cancel{{"nothing", 0, 1}});
  EXPECT_EQ(next<wire::failed>(2).ref.job, "nothing") << "so the late one has been taken in";
  watch->gate = true;
  EXPECT_EQ(next<wire::finished>().ref.attempt, 3u);
  EXPECT_EQ(watch->runs, 2);
}

TEST_F(agent_test, progress_and_previews_are_thinned_out) {
  start();
  assign(stage(0, "test.chatter"));
  next<wire::finished>();
  EXPECT_GE(h.all<wire::progress>().size(), 1u);
  EXPECT_LE(h.all<wire::progress>().size(), 5u);
  EXPECT_EQ(h.all<wire::preview>().size(), 1u);
}

TEST_F(agent_test, a_full_head_is_waited_for) {
  start();
  h.blobs.set_full(true);
  assign(stage(0, "test.write", {{"text", "patience"}}));
  ASSERT_TRUE(wait_until([&] { return watch->runs == 1 && watch->now == 0; }));
  h.blobs.set_full(false);
  EXPECT_EQ(next<wire::finished>().outputs.at(0).sha256, sha256_hex("patience"));
}

TEST_F(agent_test, says_goodbye_when_it_stops) {
  start();
  assign(stage(0, "test.hold"));
  ASSERT_TRUE(wait_until([&] { return watch->now == 1; }));
  node.reset();
  EXPECT_TRUE(h.wait_for<wire::goodbye>());
  EXPECT_EQ(watch->now, 0);
  EXPECT_TRUE(h.all<wire::failed>().empty()) << "the goodbye says it all";
}

TEST_F(agent_test, many_small_stages_run_fast) {
  start();
  constexpr std::size_t count = 3000;
  auto began = steady_ms();
  for (std::uint32_t i = 0; i < count; ++i)
    assign(stage(i, "test.fail"));
  ASSERT_TRUE(h.wait_for<wire::failed>(count, 20'000));
  RecordProperty("stages_per_s", static_cast<int>(1000.0 * count / static_cast<double>(steady_ms() - began + 1)));
}

TEST_F(agent_test, what_comes_at_once_runs_at_once) {
  constexpr std::uint32_t slots = 8, rounds = 20;
  start([](agent_options& options) { options.slots = slots; });
  for (std::uint32_t round = 0; round < rounds; ++round) {
    watch->gate = false;
    for (std::uint32_t i = 0; i < slots; ++i)
      assign(stage(round * slots + i, "test.hold"));
    ASSERT_TRUE(wait_until([&] { return watch->now == static_cast<int>(slots); })) << watch->now << " run in " << round;
    watch->gate = true;
    ASSERT_TRUE(h.wait_for<wire::finished>((round + 1) * slots));
  }
}

TEST_F(agent_test, a_second_agent_on_the_same_folder_is_refused) {
  start();
  agent_options options;
  options.name = "n2";
  options.head_endpoints = {h.endpoint()};
  options.head_public_key = h.keys().public_key;
  options.keys = keys;
  options.folder = folder.path;
  EXPECT_EQ(agent::open(std::move(options)).error().code, "locked");
}
