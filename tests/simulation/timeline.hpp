#pragma once

// The simulated time and what is to happen in it. While a timeline lives, the program's two clocks (common/clock.hpp)
// read it.

#include "common/clock.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace troupe::simulation {

using micros = std::int64_t;
inline constexpr micros millisecond = 1'000, second = 1'000'000, minute = 60 * second;

class timeline {
public:
  timeline();
  ~timeline();
  timeline(const timeline&) = delete;
  timeline& operator=(const timeline&) = delete;

  micros now() const { return now_; }
  void at(micros when, std::function<void()> what) {
    due_.emplace(key{when < now_ ? now_ : when, ++count_}, std::move(what));
  }
  void after(micros delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  std::optional<micros> next() const;
  /// Runs the next one; time goes on to it.
  void run_next();
  void advance_to(micros when) { now_ = when > now_ ? when : now_; }

  /// How far the wall clock is off.
  timestamp wall_offset_ms = 0;

private:
  using key = std::pair<micros, std::uint64_t>;
  micros now_ = 0;
  std::uint64_t count_ = 0;
  std::map<key, std::function<void()>> due_;
};

} // namespace troupe::simulation
