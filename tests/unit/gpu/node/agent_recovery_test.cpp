#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

using namespace troupe;
using namespace troupe::node;
using namespace troupe::node::support;

namespace {

struct recovery_test : ::testing::Test {
  scratch_folder folder;
  std::string endpoint = "ipc://" + (folder.path / "head.sock").string();
  link::key_pair head_keys = link::make_key_pair(), keys = link::make_key_pair();
  std::shared_ptr<stage_watch> watch = std::make_shared<stage_watch>();
  std::unique_ptr<head> h;
  std::unique_ptr<running_agent> node;

  void start_head() {
    h.reset();
    h = std::make_unique<head>(endpoint, head_keys);
    h->allow(keys.public_key);
  }
  void start_node(const std::function<void(agent_options&)>& adjust = {}) {
    node = std::make_unique<running_agent>(endpoint, head_keys.public_key, keys, folder.path / "node", watch, adjust);
  }
  void TearDown() override { watch->gate = true; }
  void assign(wire::assign what) { h->link->send(h->last_connection(), std::move(what)); }
  wire::hello last_hello() { return h->all<wire::hello>().back().second; }
};

} // namespace

TEST_F(recovery_test, a_head_that_restarts_hears_what_runs_and_what_ended) {
  start_head();
  h->acknowledging = false;
  start_node();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  assign(stage(0, "test.write", {{"text", "kept"}}));
  assign(stage(1, "test.fail"));
  ASSERT_TRUE(h->wait_for<wire::finished>() && h->wait_for<wire::failed>());
  assign(stage(2, "test.hold"));
  ASSERT_TRUE(wait_until([&] { return watch->now == 1; }));
  start_head();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  auto hello = last_hello();
  ASSERT_EQ(hello.running.size(), 1u);
  EXPECT_EQ(hello.running[0].ref.stage, 2u);
  EXPECT_EQ(hello.running[0].device, "cpu0");
  ASSERT_EQ(hello.unacknowledged.size(), 1u);
  EXPECT_EQ(hello.unacknowledged[0].outputs.at(0).sha256, sha256_hex("kept"));
  ASSERT_EQ(hello.unacknowledged_failures.size(), 1u);
  EXPECT_EQ(hello.unacknowledged_failures[0].fault, "bad_input");
  for (const auto& x : hello.unacknowledged)
    h->link->send(h->last_connection(), wire::acknowledge{x.ref});
  watch->gate = true;
  ASSERT_TRUE(h->wait_for<wire::finished>());
  EXPECT_EQ(h->all<wire::finished>()[0].second.ref.stage, 2u) << "nothing running was lost";
  EXPECT_TRUE(wait_until([&] { return std::filesystem::is_empty(folder.path / "node" / "unacknowledged"); }));
}

TEST_F(recovery_test, a_node_that_restarts_still_reports_what_it_had_finished) {
  start_head();
  h->acknowledging = false;
  start_node();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  assign(stage(0, "test.write", {{"text", "kept"}}));
  ASSERT_TRUE(h->wait_for<wire::finished>());
  auto session = last_hello().session;
  node.reset();
  start_node();
  ASSERT_TRUE(h->wait_for<wire::hello>(2));
  EXPECT_NE(last_hello().session, session);
  ASSERT_EQ(last_hello().unacknowledged.size(), 1u);
  EXPECT_EQ(last_hello().unacknowledged[0].ref, (wire::attempt_ref{"job1", 0, 1}));
  assign(stage(0, "test.write", {{"text", "kept"}}));
  ASSERT_TRUE(h->wait_for<wire::finished>(2)) << "assigned again, it is reported and not run again";
  EXPECT_EQ(watch->runs, 1);
}

TEST_F(recovery_test, a_result_that_was_on_its_way_goes_on_with_the_next_head) {
  start_head();
  start_node();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  h->blobs.set_full(true);
  assign(stage(0, "test.write", {{"text", "late"}}));
  ASSERT_TRUE(wait_until([&] { return watch->runs == 1 && watch->now == 0; }));
  start_head();
  ASSERT_TRUE(h->wait_for<wire::finished>());
  EXPECT_EQ(last_hello().running.size(), 1u) << "a stage whose result is not delivered still runs";
  EXPECT_EQ(h->blobs.content(sha256_hex("late")), "late");
}

TEST_F(recovery_test, out_of_touch_for_longer_than_the_lease_it_stops_its_attempts) {
  start_head();
  h->terms.lease_ms = 300;
  start_node();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  ASSERT_TRUE(h->wait_for<wire::node_heartbeat>()); // the terms have arrived
  assign(stage(0, "test.hold"));
  ASSERT_TRUE(wait_until([&] { return watch->now == 1; }));
  h.reset();
  ASSERT_TRUE(wait_until([&] { return watch->now == 0; }));
  start_head();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  auto hello = last_hello();
  EXPECT_TRUE(hello.running.empty() && hello.unacknowledged.empty() && hello.unacknowledged_failures.empty());
}

// Goal: no head waits for an attempt that nobody runs. Method: a head hears of an attempt in the hello, and the lease
// ends before its welcome.
TEST_F(recovery_test, an_attempt_given_up_after_the_hello_is_told_to_the_new_head) {
  start_head();
  h->terms.lease_ms = 300;
  start_node();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  ASSERT_TRUE(h->wait_for<wire::node_heartbeat>());
  assign(stage(0, "test.hold"));
  ASSERT_TRUE(wait_until([&] { return watch->now == 1; }));
  h.reset();
  h = std::make_unique<head>(endpoint, head_keys);
  h->silent = true;
  h->allow(keys.public_key);
  ASSERT_TRUE(h->wait_for<wire::hello>());
  ASSERT_EQ(last_hello().running.size(), 1u);
  ASSERT_TRUE(h->wait_for<wire::failed>());
  EXPECT_EQ(h->all<wire::failed>()[0].second.fault, "cancelled");
  EXPECT_EQ(watch->now, 0);
}

TEST_F(recovery_test, an_orphaned_node_ends_by_itself) {
  start_node([](agent_options& x) { x.exit_when_orphaned_ms = 200; });
  ASSERT_TRUE(wait_until([&] { return node->ended(); }));
  EXPECT_EQ(node->reason(), stop_reason::orphaned);
}

TEST_F(recovery_test, a_fetch_goes_on_where_a_lost_connection_left_it) {
  start_head();
  start_node();
  ASSERT_TRUE(h->wait_for<wire::hello>());
  const std::string big(9 << 20, 'x');
  auto partial = folder.path / "node" / "cache" / "partial" / sha256_hex(big);
  std::ofstream(partial, std::ios::binary) << big.substr(0, 5 << 20); // what an earlier fetch left
  h->blobs.add(big);
  assign(stage(0, "test.write", {}, {input_of(big)}));
  ASSERT_TRUE(h->wait_for<wire::finished>());
  EXPECT_EQ(h->blobs.bytes_read(), 4u << 20) << "only what was missing";
  const std::string other(2 << 20, 'y');
  std::ofstream(partial.parent_path() / sha256_hex(other), std::ios::binary) << std::string(1 << 20, 'z');
  h->blobs.add(other);
  assign(stage(1, "test.write", {}, {input_of(other)}));
  ASSERT_TRUE(h->wait_for<wire::finished>(2)) << "a broken beginning is fetched anew";
  EXPECT_EQ(h->all<wire::finished>()[1].second.outputs.at(0).sha256, sha256_hex(other));
}

// Goal: an engine that ignores its cancellation cannot hold a slot for ever. Method: the node is a child process.
TEST_F(recovery_test, an_engine_that_does_not_stop_ends_the_process) {
  auto child = ::fork();
  if (child == 0) { // one head and one node in the child, before any thread of this process matters to it
    start_head();
    start_node([](agent_options& x) { x.stuck_ms = 200; });
    h->wait_for<wire::hello>();
    auto deaf = stage(0, "test.deaf");
    deaf.timeout_ms = 100;
    assign(deaf);
    wait_until([] { return false; }, 10'000);
    std::_Exit(0);
  }
  int status = 0;
  ASSERT_TRUE(wait_until([&] { return ::waitpid(child, &status, WNOHANG) == child; }, 15'000));
  EXPECT_EQ(WEXITSTATUS(status), 70);
}
