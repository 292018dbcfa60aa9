#pragma once

#include <chrono>
#include <filesystem>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace troupe {

/// Keeps the processors awake between two pieces of work that follow each other closely. A processor with nothing to do
/// halts, and in a virtual machine that is a way to the host and back: each message to a thread that sleeps then costs
/// tens of microseconds. This is what Linux's cpuidle driver `haltpoll` does, for those who have it not or cannot set
/// it: a thread for each processor, of the policy SCHED_IDLE, that runs for a moment where nobody else wants to. To the
/// kernel such a processor is idle, so who wakes gets it at once. They do that only while the program has work in short
/// intervals, and not on a processor that others use most of the time. See docs/decisions/0040.
class halt_poll {
public:
  using clock = std::chrono::steady_clock;
  static constexpr int processors_max = 4; // with more it does nothing

  /// `longest`: how long after the last rest(); 0 for never. One at a time in a program. Where a quota of processor
  /// time is set it does nothing: what it took would be missing later.
  explicit halt_poll(std::chrono::microseconds longest);
  ~halt_poll();
  halt_poll(const halt_poll&) = delete;
  halt_poll& operator=(const halt_poll&) = delete;

  /// Said by a thread that has no work left, before it sleeps. From any thread, also where there is no halt_poll.
  static void rest();

private:
  std::vector<std::jthread> pollers_;
};

/// For how many of the machine's ticks (of 10 ms, as /proc/stat counts them) processor `number` had nothing to do;
/// negative when `stat`, the content of that file, does not say.
long idle_ticks(const std::string& stat, int number);

/// Whether a group of processes has a quota of processor time, of its own or of a group that it is in. `self`: the
/// content of /proc/PID/cgroup; `root`: where cgroup2 is mounted. See cgroups(7) and `cpu.max` in Linux's
/// cgroup-v2.rst.
bool has_processor_quota(const std::string& self, const std::filesystem::path& root);

} // namespace troupe
