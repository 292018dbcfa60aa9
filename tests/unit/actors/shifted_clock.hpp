#pragma once

#include <atomic>
#include <cstdint>

namespace troupe::testing {

/// How far the wall clock of this program is from the machine's.
extern std::atomic<std::int64_t> wall_clock_shift_ms;

} // namespace troupe::testing
