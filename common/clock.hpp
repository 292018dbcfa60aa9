#pragma once

// Time as data. Cores take a `timestamp` as an argument and never ask a clock.

#include <cstdint>
#include <string>

namespace troupe {

/// Milliseconds since 1970-01-01 UTC.
using timestamp = std::int64_t;

/// The wall clock.
timestamp now_ms();

/// A clock that never goes back, in milliseconds from an arbitrary start; for time-outs and durations.
std::int64_t steady_ms();

/// "2026-03-30 12:00:00", UTC, as the studio API writes times.
std::string studio_time(timestamp at);

/// "2026-03-30T12:00:00.123Z" (RFC 3339).
std::string rfc3339(timestamp at);

/// "2026-03", UTC: the period of a monthly allowance.
std::string month_of(timestamp at);

} // namespace troupe
