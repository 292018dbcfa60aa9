#include "common/halt_poll.hpp"
#include "common/random.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sched.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::filesystem::path> pollers() {
  std::vector<std::filesystem::path> out;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    if (content(task.path() / "comm") == "halt-poll\n")
      out.push_back(task.path());
  return out;
}

std::chrono::nanoseconds time_of_pollers() {
  std::chrono::nanoseconds out{};
  for (const auto& task : pollers())
    out += std::chrono::nanoseconds(std::stoll("0" + content(task / "schedstat")));
  return out;
}

int processors() {
  cpu_set_t mine;
  return sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 0;
}

long idle_ticks_of_all() {
  long out = 0;
  for (int i = 0; i < processors(); ++i)
    out += idle_ticks(content("/proc/stat"), i);
  return out;
}

bool eventually(const std::function<bool()>& holds) {
  for (auto end = clock::now() + 60s; clock::now() < end; std::this_thread::sleep_for(1ms))
    if (holds())
      return true;
  return false;
}

class HaltPoll : public testing::Test {
protected:
  void SetUp() override {
    if (processors() > halt_poll::processors_max)
      GTEST_SKIP() << "it does nothing on so many processors";
    if (has_processor_quota(content("/proc/self/cgroup"), "/sys/fs/cgroup"))
      GTEST_SKIP() << "it does nothing under a quota";
  }
};

TEST_F(HaltPoll, KeepsEachProcessorAwakeWhileThereIsWorkInShortIntervals) {
  halt_poll awake(400us);
  auto idle = idle_ticks_of_all();
  bool polled = eventually([] {
    for (int i = 0; i < 100; ++i, std::this_thread::sleep_for(50us))
      halt_poll::rest();
    return time_of_pollers() > 20ms;
  });
  if (!polled && idle_ticks_of_all() - idle < 6000 * processors() * 25 / 100)
    GTEST_SKIP() << "others use the processors";
  EXPECT_TRUE(polled);
}

TEST_F(HaltPoll, TakesNothingFromThoseWhoWantToRun) {
  halt_poll awake(400us);
  auto all_idle_only = [] {
    auto all = pollers();
    for (const auto& task : all)
      if (sched_getscheduler(std::stoi(task.filename())) != SCHED_IDLE)
        return false;
    return static_cast<int>(all.size()) == processors();
  };
  EXPECT_TRUE(eventually(all_idle_only));
}

TEST_F(HaltPoll, SleepsWhileWorkComesSeldom) {
  halt_poll awake(400us);
  EXPECT_TRUE(eventually([] { return static_cast<int>(pollers().size()) == processors(); }));
  auto before = time_of_pollers();
  for (int i = 0; i < 30; ++i, std::this_thread::sleep_for(10ms))
    halt_poll::rest();
  EXPECT_LT(time_of_pollers() - before, 10ms);
}

TEST_F(HaltPoll, IsNotThereWhereItIsNotWanted) {
  halt_poll awake(0us);
  halt_poll::rest();
  EXPECT_TRUE(pollers().empty());
}

TEST_F(HaltPoll, EndsAtOnce) {
  for (int i = 0; i < 20; ++i) {
    halt_poll awake(10ms);
    for (auto end = clock::now() + 5ms; clock::now() < end;)
      halt_poll::rest();
  }
  halt_poll::rest();
  EXPECT_TRUE(pollers().empty());
}

TEST(ProcessorQuota, IsOfAGroupOrOfOneThatItIsIn) {
  auto root = std::filesystem::temp_directory_path() / ("troupe-quota-" + random_hex(6));
  auto say = [&](const std::string& group, const std::string& quota) {
    std::filesystem::create_directories(root / group);
    std::ofstream(root / group / "cpu.max") << quota;
  };
  const std::string self = "3:cpu:/old\n0::/system.slice/troupe.service\n";
  EXPECT_FALSE(has_processor_quota(self, root));
  say("system.slice", "max 100000\n");
  say("system.slice/troupe.service", "max 100000\n");
  say("system.slice/other.service", "50000 100000\n");
  say("old", "50000 100000\n");
  EXPECT_FALSE(has_processor_quota(self, root));
  say("system.slice/troupe.service", "200000 100000\n");
  EXPECT_TRUE(has_processor_quota(self, root));
  say("system.slice/troupe.service", "max 100000\n");
  say("system.slice", "50000 100000\n");
  EXPECT_TRUE(has_processor_quota(self, root));
  EXPECT_FALSE(has_processor_quota("", root));
  EXPECT_FALSE(has_processor_quota("0::/\n", root));
  say("", "150000 100000\n"); // as a container sees its own
  EXPECT_TRUE(has_processor_quota("0::/\n", root));
  std::filesystem::remove_all(root);
}

TEST(IdleTicks, CountTheWaitForADisk) {
  const std::string stat =
      "cpu  7 1 2 500 30 0 0 0 0 0\ncpu0 3 1 1 300 20 0 0 0 0 0\ncpu12 4 0 1 200 10 5 5 5 0 0\nintr 9 9\n";
  EXPECT_EQ(idle_ticks(stat, 0), 320);
  EXPECT_EQ(idle_ticks(stat, 12), 210);
  EXPECT_LT(idle_ticks(stat, 1), 0);
  EXPECT_LT(idle_ticks("cpu0 3 1\n", 0), 0);
  EXPECT_LT(idle_ticks("", 0), 0);
}

} // namespace
} // namespace troupe
