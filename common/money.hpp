#pragma once

#include <cstdint>

namespace troupe {

/// Money is counted in whole micro-credits; floating point never touches it. 1 credit = 1 wallet cent = 1,000,000.
using micro_credits = std::int64_t;

inline constexpr micro_credits micro_per_credit = 1'000'000;

constexpr micro_credits credits(std::int64_t whole) { return whole * micro_per_credit; }

/// Whole credits, rounded up: what a price of the studio family is.
constexpr micro_credits round_up_to_credit(micro_credits exact) {
  return (exact + micro_per_credit - 1) / micro_per_credit * micro_per_credit;
}

} // namespace troupe
