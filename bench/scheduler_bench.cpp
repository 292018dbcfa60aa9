// Decisions a second of the scheduler's core, on one core of the machine: a stage ends, another of those that wait is
// chosen and starts; a new one is queued meanwhile, so that as many wait. Usage: scheduler_bench [mixed] [waiting …],
// by default 1000 100000 1000000. mixed: stages of all three classes on four types of devices with memory of 12 to 80
// GiB; otherwise all are of one class and all devices alike.
//
// After that, what a tick takes, one each simulated second of a thousand decisions, and what it takes to say of a
// stage why it waits, its position and when it should start.
//
// How many there are in a second is told by the processor time of the thread, in blocks, so that it is the same on a
// machine with other work; how long each takes by the clock, so others' work shows there.

#include "actors/scheduler/scheduler_core.hpp"
#include "common/check.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string_view>
#include <time.h>
#include <unistd.h>

namespace {

using namespace troupe;
using namespace troupe::scheduling;
using steady = std::chrono::steady_clock;

constexpr std::uint32_t accounts = 10'000, models = 50, devices = 10'000;
constexpr int decisions = 300'000, ticks = 60, decisions_a_tick = 1'000;

double seconds_since(steady::time_point start) { return std::chrono::duration<double>(steady::now() - start).count(); }

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

class bench {
public:
  explicit bench(bool mixed) : mixed_(mixed), core_(unbounded(), 1) {}

  /// Microseconds of processor time that a decision takes.
  double run(std::size_t waiting) {
    for (std::uint32_t i = 0; i < devices; ++i)
      tell(device_up{{"n" + std::to_string(i / 8) + "/cuda" + std::to_string(i % 8)},
                     {"n" + std::to_string(i / 8)},
                     mixed_ ? "cuda/type" + std::to_string(i % 4) : "cuda",
                     {"comfy.image", "comfy.video", "vllm.chat"},
                     1,
                     mixed_ ? types_vram_mib[i % 4] : 24'576});
    for (std::uint32_t i = 0; i < devices; ++i) // all busy first: what is timed is the queue
      queue_one();
    auto before = resident_bytes();
    auto start = steady::now();
    for (std::size_t i = 0; i < waiting; ++i)
      queue_one();
    auto queueing = seconds_since(start);
    auto bytes = static_cast<double>(resident_bytes() - before) / static_cast<double>(waiting);
    for (std::uint32_t i = 0; i < devices; ++i) { // accounts have been served, models are warm
      queue_one();
      tell(pick());
    }
    auto cost = decide(waiting, queueing, bytes);
    pass_time();
    explain();
    return cost;
  }

private:
  static constexpr std::array<std::uint32_t, 4> types_vram_mib = {12'288, 24'576, 49'152, 81'920};

  static limits unbounded() {
    limits out;
    out.queue_max = 10'000'000;
    out.queue_per_account = 10'000'000;
    return out;
  }

  double decide(std::size_t waiting, double queueing, double bytes) {
    std::vector<float> each;
    each.reserve(decisions);
    for (int i = 0; i < decisions; ++i) {
      queue_one();
      event ended = pick();
      auto start = steady::now();
      tell(ended);
      each.push_back(static_cast<float>(seconds_since(start) * 1e6));
      now_ += 1;
      settle();
    }
    constexpr int block = 100;
    double deciding = 0;
    std::vector<event> ends;
    for (int i = 0; i < decisions; i += block) {
      ends.clear();
      for (int k = 0; k < block; ++k) {
        queue_one();
        ends.emplace_back(pick());
      }
      auto start = processor_seconds();
      for (const auto& ended : ends) {
        tell(ended);
        now_ += 1;
      }
      deciding += processor_seconds() - start;
      settle();
    }
    // Had an end not started another, fewer would run, and what was timed would not be what is said. In a mix one may
    // be kept from starting: the room that it leaves is too small for who waits, or is kept for another.
    TROUPE_CHECK(mixed_ || core_.queue_length() == waiting);
    TROUPE_CHECK(core_.running() == running_.size() && (running_.size() == devices || mixed_));
    std::sort(each.begin(), each.end());
    auto cost = deciding / decisions * 1e6;
    std::printf(
        "%9zu waiting: %8.0f decisions/s  %5.2f us each  by the clock %5.2f us p50  %6.2f us p99  %7.1f us max  "
        "%5.2f us to queue  %4.0f bytes/stage\n",
        waiting, decisions / deciding, cost, static_cast<double>(each[each.size() / 2]),
        static_cast<double>(each[each.size() * 99 / 100]), static_cast<double>(each.back()),
        queueing / static_cast<double>(waiting) * 1e6, bytes);
    return cost;
  }

  /// A tick looks for stages that starve, that others should be stopped for, and that run for too long.
  void pass_time() {
    std::vector<double> each;
    for (int i = 0; i < ticks; ++i) {
      for (int k = 0; k < decisions_a_tick; ++k) {
        queue_one();
        tell(pick());
        now_ += 1;
        settle();
      }
      auto start = processor_seconds();
      tell(tick{});
      each.push_back((processor_seconds() - start) * 1e3);
      settle();
    }
    std::sort(each.begin(), each.end());
    std::printf("%9zu waiting: a tick %.2f ms p50, %.2f ms max; %zu run; %d were stopped for others, %d begun twice\n",
                core_.queue_length(), each[each.size() / 2], each.back(), running_.size(), stopped_, twice_);
  }

  void explain() {
    std::vector<double> each;
    for (auto job = next_; job > 0 && each.size() < 1'000; --job) {
      stage_ref ref{{job_name(job - 1)}, 0};
      auto start = processor_seconds();
      auto why = core_.why_waiting(ref);
      auto place = core_.position(ref);
      auto wait_ms = core_.eta_ms(ref);
      if (why && place && wait_ms)
        each.push_back((processor_seconds() - start) * 1e6);
    }
    TROUPE_CHECK(!each.empty());
    std::sort(each.begin(), each.end());
    std::printf("%9zu waiting: why, position and start of a stage %.1f us p50, %.1f us max\n", core_.queue_length(),
                each[each.size() / 2], each.back());
  }

  static std::string job_name(std::uint32_t number) {
    char name[27];
    std::snprintf(name, sizeof name, "01j%023u", number);
    return name;
  }

  /// What is to be broken off ends; another is queued in its place, as its job would queue it again.
  void settle() {
    while (!stops_.empty()) {
      auto one = std::move(stops_.back());
      stops_.pop_back();
      auto at = std::find_if(running_.begin(), running_.end(),
                             [&](const start& s) { return s.ref == one.ref && s.attempt == one.attempt; });
      if (at == running_.end())
        continue; // it has ended meanwhile
      ++stopped_;
      std::swap(*at, running_.back());
      running_.pop_back();
      tell(stage_ended{one.ref, one.attempt, one.device, outcome::cancelled, 1'000});
      queue_one();
    }
  }

  void queue_one() {
    stage_request r;
    r.ref = {{job_name(next_++)}, 0};
    auto a = static_cast<std::uint32_t>(random_() % accounts);
    r.account = {"01haccount0000000000" + std::to_string(100'000 + a)};
    r.weight = a % 10 == 0 ? 4 : 1;
    auto model = static_cast<std::uint32_t>(random_() % models);
    r.kind = model % 3 == 0 ? "comfy.image" : model % 3 == 1 ? "comfy.video" : "vllm.chat";
    r.model = "model-" + std::to_string(model);
    r.vram_mib = 2'048 * (1 + model % 8);
    r.estimate_ms = 10'000;
    if (mixed_) {
      r.priority = static_cast<priority_class>(random_() % class_count);
      r.may_run_twice = model % 5 == 0;
    }
    tell(stage_queued{std::move(r)});
  }

  stage_ended pick() {
    auto at = random_() % running_.size();
    std::swap(running_[at], running_.back());
    auto s = running_.back();
    running_.pop_back();
    return {s.ref, s.attempt, s.device, outcome::ok, 5'000 + static_cast<std::uint32_t>(random_() % 10'000)};
  }

  void tell(const event& happened) {
    out_.clear();
    core_.apply(happened, now_, out_);
    for (auto& c : out_)
      if (auto* s = std::get_if<start>(&c))
        take(std::move(*s));
      else if (auto* unwanted = std::get_if<stop>(&c))
        stops_.push_back(std::move(*unwanted));
  }
  void take(start&& s) {
    twice_ += s.second ? 1 : 0;
    running_.push_back(std::move(s));
  }

  bool mixed_;
  scheduler_core core_;
  std::mt19937 random_{1};
  std::uint32_t next_ = 0;
  timestamp now_ = 1'000'000;
  std::vector<start> running_;
  std::vector<command> out_;
  std::vector<stop> stops_;
  int stopped_ = 0, twice_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  bool mixed = argc > 1 && std::string_view(argv[1]) == "mixed";
  std::vector<std::size_t> sizes;
  for (int i = mixed ? 2 : 1; i < argc; ++i)
    sizes.push_back(std::strtoul(argv[i], nullptr, 10));
  if (sizes.empty())
    sizes = {1'000, 100'000, 1'000'000};
  std::vector<double> costs;
  for (auto waiting : sizes)
    costs.push_back(bench{mixed}.run(std::max<std::size_t>(waiting, 1)));
  if (sizes.size() > 1)
    std::printf("a decision with %zu waiting costs %.2f times what it costs with %zu\n", sizes.back(),
                costs.back() / costs.front(), sizes.front());
}
