#include "common/halt_poll.hpp"

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <mutex>
#include <pthread.h>
#include <sched.h>
#include <sstream>
#include <time.h>

namespace troupe {

namespace {

using namespace std::chrono_literals;
using rep = halt_poll::clock::rep;

// A poller looks at its processor after `look_after`, and when it got less than a share_least of it during `share_of`:
// for the time of `look` it is left alone, and if it idled for less than an idle_least of that, until it does again.
constexpr halt_poll::clock::duration look_after = 2s, look = 100ms, share_of = 50ms;
constexpr int share_least = 8, idle_least = 20; // percent

// Of the program, as rest() may be said while a halt_poll ends.
std::atomic<rep> longest{0}, rested{0};
std::atomic<int> asleep{0};
std::atomic<unsigned> called{0};

rep now() { return halt_poll::clock::now().time_since_epoch().count(); }

// Of two threads that share a core, the other one may go on.
void leave_core() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

/// What the calling thread has run, in the units of now().
rep own_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return halt_poll::clock::duration(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec)).count();
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

long idle_ticks_of(int processor) { return idle_ticks(content("/proc/stat"), processor); }

/// Takes look, or less when it is to stop.
bool would_idle(int processor, const std::stop_token& stop) {
  constexpr long ticks = look / 10ms;
  auto before = idle_ticks_of(processor);
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, look, [] { return false; });
  return before >= 0 && (idle_ticks_of(processor) - before) * 100 >= ticks * idle_least;
}

void wait_for_call(const std::stop_token& stop) {
  auto seen = called.load();
  ++asleep;
  if (!stop.stop_requested())
    called.wait(seen);
  --asleep;
}

void poll(int processor, const std::stop_token& stop) {
  for (rep look_at = 0; !stop.stop_requested();) {
    wait_for_call(stop);
    if (now() >= look_at) {
      if (!would_idle(processor, stop))
        continue;
      look_at = now() + look_after.count();
    }
    auto began = now(), ran = own_time();
    for (auto at = began; at - rested < longest && at < look_at; at = now()) {
      for (int i = 0; i < 20; ++i)
        leave_core();
      if (at - began < share_of.count())
        continue;
      auto ran_until = own_time();
      if ((ran_until - ran) * 100 < (at - began) * share_least)
        look_at = 0; // others have come
      began = at;
      ran = ran_until;
    }
  }
}

} // namespace

halt_poll::halt_poll(std::chrono::microseconds wanted) {
  cpu_set_t mine;
  if (wanted.count() == 0 || sched_getaffinity(0, sizeof mine, &mine) != 0 || CPU_COUNT(&mine) > processors_max ||
      has_processor_quota(content("/proc/self/cgroup"), "/sys/fs/cgroup"))
    return;
  longest = clock::duration(wanted).count();
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &mine))
      pollers_.emplace_back([i](const std::stop_token& stop) {
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(i, &only);
        sched_param none{};
        pthread_setname_np(pthread_self(), "halt-poll");
        if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) == 0 &&
            pthread_setaffinity_np(pthread_self(), sizeof only, &only) == 0)
          poll(i, stop);
      });
}

halt_poll::~halt_poll() {
  longest = 0;
  for (auto& poller : pollers_)
    poller.request_stop();
  ++called;
  called.notify_all();
}

void halt_poll::rest() {
  auto soon = longest.load(std::memory_order_relaxed);
  if (soon == 0)
    return;
  auto at = now();
  auto before = rested.exchange(at, std::memory_order_relaxed);
  if (at - before < soon && asleep.load(std::memory_order_relaxed) > 0) {
    ++called;
    called.notify_all();
  }
}

long idle_ticks(const std::string& stat, int number) {
  std::istringstream lines(stat);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    long user = 0, nice = 0, system = 0, idle = 0, waiting = 0;
    if (words >> name >> user >> nice >> system >> idle >> waiting && name == "cpu" + std::to_string(number))
      return idle + waiting; // for a disk: others could run
  }
  return -1;
}

bool has_processor_quota(const std::string& self, const std::filesystem::path& root) {
  constexpr std::string_view unified = "0::/"; // of cgroup2; other lines are of the hierarchies of version 1
  std::istringstream lines(self);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(unified))
      continue;
    auto group = root;
    auto limited = [&group] {
      auto quota = content(group / "cpu.max"); // not there in the outermost group of the machine
      return !quota.empty() && !quota.starts_with("max");
    };
    if (limited())
      return true;
    for (const auto& name : std::filesystem::path(line.substr(unified.size()))) {
      group /= name;
      if (limited())
        return true;
    }
  }
  return false;
}

} // namespace troupe
