#include "common/clock.hpp"

#include <chrono>

// The machine's clocks, in a file of their own: a program that brings these two functions itself has another time (the
// simulation does), and this file is not linked.

namespace troupe {

timestamp now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::int64_t steady_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

} // namespace troupe
