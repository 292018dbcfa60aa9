#pragma once

#include <cmath>

namespace troupe {

/// As far from 0 as a double tells every integer from the next: 2^53.
inline constexpr double exact_integer_max = 9007199254740992.0;

/// Whether the number is an integer that a double holds exactly; what is not finite is none.
inline bool is_exact_integer(double x) { return x == std::floor(x) && std::abs(x) <= exact_integer_max; }

} // namespace troupe
