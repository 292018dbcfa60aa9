#pragma once

#include "app/head_core.hpp"
#include "common/periodic.hpp"

namespace troupe::app {

/// Gives back what is held for nobody: a hold whose job is not there or has ended (after a crash of something that held
/// without a job, or a bug). Looks once at its start and then every hour, on a thread of its own.
class hold_sweep {
public:
  static constexpr std::size_t releases_max = 1'000; // a sweep; more wait for the next
  static constexpr std::chrono::milliseconds interval = std::chrono::hours(1);

  explicit hold_sweep(head_core& core);

private:
  void sweep(const std::stop_token& stop);

  head_core& core_;
  const timestamp started_ = now_ms();
  periodic thread_;
};

} // namespace troupe::app
