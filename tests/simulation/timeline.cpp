#include "tests/simulation/timeline.hpp"

#include "common/check.hpp"

#include <utility>

namespace troupe {

namespace simulation {

namespace {

constexpr timestamp began_at = 1'790'000'000'000; // a day in September 2026
constexpr std::int64_t booted_at = 86'400'000;
const timeline* running = nullptr;

} // namespace

timeline::timeline() {
  TROUPE_CHECK(running == nullptr);
  running = this;
}

timeline::~timeline() { running = nullptr; }

std::optional<micros> timeline::next() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first.first);
}

void timeline::run_next() {
  auto first = due_.begin();
  now_ = first->first.first;
  auto what = std::move(first->second);
  due_.erase(first);
  what();
}

} // namespace simulation

// The clocks of the simulated head, instead of common/system_clock.cpp.

timestamp now_ms() {
  using simulation::running;
  return running == nullptr ? simulation::began_at
                            : simulation::began_at + running->now() / simulation::millisecond + running->wall_offset_ms;
}

std::int64_t steady_ms() {
  using simulation::running;
  return simulation::booted_at + (running == nullptr ? 0 : running->now() / simulation::millisecond);
}

} // namespace troupe
