#pragma once

// Work done in a child process, which inherits this one as it is and never comes back: for C libraries that keep state
// in the process (espeak-ng's noise and phase, so that the same words would sound different each time) or could fall
// over a hostile text.

#include "common/result.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

namespace troupe::engines {

/// How the child hands bytes to its parent; false when nobody listens any more.
using child_sink = std::function<bool(std::span<const std::byte> bytes)>;

struct child_limits {
  std::chrono::milliseconds time{600'000}; // two thousand digits take flite a minute
  std::size_t bytes_max = 256U << 20;
};

/// Runs `work` in a child and gives `received` what it sends, as it comes. `work` returns false when it failed. `stop`
/// is asked every 50 ms. `work` may use nothing that another thread could have held when the child was made: no log, no
/// lock of ours. Errors: `cancelled`, `timeout`, `crashed` (killed by a signal), `child` (it failed, or none could be
/// made), `too_large`.
result<void> run_in_child(const std::function<bool(const child_sink&)>& work,
                          const std::function<void(std::string_view bytes)>& received,
                          const std::function<bool()>& stop, child_limits bounds = {});

} // namespace troupe::engines
