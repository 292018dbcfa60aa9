#include "tests/unit/actors/shifted_clock.hpp"

#include "common/clock.hpp"

#include <chrono>

namespace troupe::testing {

std::atomic<std::int64_t> wall_clock_shift_ms{0};

} // namespace troupe::testing

namespace troupe {

// In the place of common/system_clock.cpp.
timestamp now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count() + testing::wall_clock_shift_ms;
}

std::int64_t steady_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

} // namespace troupe
