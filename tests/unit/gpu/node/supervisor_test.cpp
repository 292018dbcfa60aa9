#include "gpu/node/supervisor.hpp"
#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>
#include <signal.h>

using namespace troupe;
using namespace troupe::node;
using namespace troupe::node::support;

namespace {

supervisor_options shell(const std::string& script) {
  supervisor_options out;
  out.argv = {"/bin/sh", "-c", script};
  out.backoff_ms = 5;
  out.backoff_max_ms = 40;
  out.grace_ms = 300;
  return out;
}

bool is_gone(int pid) { return ::kill(pid, 0) != 0; }

} // namespace

TEST(supervisor, starts_a_child_again_when_it_ends_and_tells_how_it_ended) {
  auto child = supervisor::start(shell("exit 3")).value();
  ASSERT_TRUE(wait_until([&] { return child->state().starts >= 4; }));
  EXPECT_EQ(child->state().last_status, 3);
}

TEST(supervisor, waits_ever_longer_between_starts) {
  auto options = shell("exit 75");
  options.backoff_ms = 20;
  options.backoff_max_ms = 80;
  auto began = steady_ms();
  auto child = supervisor::start(options).value();
  ASSERT_TRUE(wait_until([&] { return child->state().starts >= 5; }));
  EXPECT_GE(steady_ms() - began, 20 + 40 + 80 + 80);
}

TEST(supervisor, brings_a_killed_child_back) {
  auto child = supervisor::start(shell("exec sleep 100")).value();
  ASSERT_TRUE(wait_until([&] { return child->state().pid != 0; }));
  auto first = child->state().pid;
  ::kill(first, SIGKILL);
  ASSERT_TRUE(wait_until([&] { return child->state().pid != 0 && child->state().pid != first; }));
  EXPECT_EQ(child->state().last_status, -SIGKILL);
  EXPECT_TRUE(is_gone(first)) << "no zombie stays";
}

TEST(supervisor, stop_ends_the_child_and_starts_none_again) {
  auto child = supervisor::start(shell("exec sleep 100")).value();
  ASSERT_TRUE(wait_until([&] { return child->state().pid != 0; }));
  auto pid = child->state().pid;
  auto began = steady_ms();
  child->stop();
  child->stop();
  EXPECT_LT(steady_ms() - began, 250) << "SIGTERM was enough";
  EXPECT_TRUE(is_gone(pid));
  EXPECT_EQ(child->state().starts, 1u);
  EXPECT_EQ(child->state().last_status, -SIGTERM);
}

TEST(supervisor, a_child_that_ignores_sigterm_is_killed_after_the_grace) {
  scratch_folder folder;
  auto ready = folder.path / "ready";
  auto child =
      supervisor::start(shell("trap '' TERM; touch " + ready.string() + "; while true; do sleep 0.05; done")).value();
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(ready); }));
  auto pid = child->state().pid;
  child->stop();
  EXPECT_TRUE(is_gone(pid));
  EXPECT_EQ(child->state().last_status, -SIGKILL);
}

TEST(supervisor, a_child_inherits_no_files_but_its_output) {
  scratch_folder folder;
  auto out = folder.path / "fds";
  std::ofstream leaked(folder.path / "leaked"); // libstdc++ opens it without O_CLOEXEC
  auto child = supervisor::start(shell("ls /proc/self/fd | wc -l > " + out.string() + ".new; mv " + out.string() +
                                       ".new " + out.string() + "; exec sleep 100"))
                   .value();
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(out); }));
  EXPECT_LE(std::stoi(read_file(out)), 4) << "0, 1, 2 and the listing itself";
}

TEST(supervisor, starts_no_other_child_where_its_owner_does_not_want_one) {
  auto options = shell("exit 78");
  options.backoff_ms = 1;
  std::atomic<int> ends{0};
  options.on_exit = [&](int status) {
    EXPECT_EQ(status, 78);
    return ++ends < 3;
  };
  auto child = supervisor::start(options).value();
  ASSERT_TRUE(wait_until([&] { return ends >= 3; }));
  child->stop();
  EXPECT_EQ(child->state().starts, 3u);
}

TEST(supervisor, a_program_that_is_not_there_is_told_and_tried_again) {
  supervisor_options options;
  options.argv = {"/no/such/program"};
  options.backoff_ms = 5;
  std::atomic<int> ends{0};
  options.on_exit = [&](int status) {
    ends += status == 127 ? 1 : 0;
    return true;
  };
  auto child = supervisor::start(options).value();
  EXPECT_TRUE(wait_until([&] { return ends >= 3; }));
  EXPECT_EQ(supervisor::start({}).error().code, "malformed");
}
