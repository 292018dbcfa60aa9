#pragma once

// Work done by this program, started again: for C libraries that keep state in the process (espeak-ng's noise and
// phase, so that the same words would sound different each time) or could fall over a hostile text. A new program and
// not a fork: what a fork inherits of the parent's memory is heard in espeak's noise.

#include "common/result.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace troupe::engines {

struct child_limits {
  std::chrono::milliseconds time{600'000}; // two thousand digits take flite a minute
  std::size_t bytes_max = 256U << 20;
};

/// Starts this program again as `name` (its argv[0], by which main() knows what it is for), with `request` as its
/// standard input (a file in memory) and little of our environment, and gives `received` what it says on its standard
/// output, as it comes. `stop` is asked every 50 ms. Errors: `cancelled`, `timeout`, `crashed` (killed by a signal),
/// `child` (it failed, or could not be started), `too_large`.
result<void> run_child(const char* name, const std::string& request,
                       const std::function<void(std::string_view bytes)>& received, const std::function<bool()>& stop,
                       child_limits bounds = {});

} // namespace troupe::engines
