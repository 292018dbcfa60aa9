#pragma once

// Runs in a process of their own: a check that fails in the product ends the process, and is a finding like any other.

#include "tests/simulation/scenario.hpp"

#include <functional>

namespace troupe::simulation {

struct numbers {
  std::uint64_t seed = 0, hash = 0, events = 0, jobs = 0, attempts = 0, came_back = 0, transfers = 0, accepted = 0,
                heads = 0, frames = 0;
  micros simulated = 0;
};
struct outcome {
  std::string complaint; // empty: none
  numbers figures;
};

/// One scenario. The story goes to stdout when it is `told`.
outcome run_apart(const scenario& what, bool told);
/// Seeds `from` to `from + count - 1`, one after the other; a child that dies is replaced.
void run_apart(std::uint64_t from, std::uint64_t count, const std::function<void(const outcome&)>& each);

} // namespace troupe::simulation
