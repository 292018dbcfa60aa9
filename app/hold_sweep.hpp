#pragma once

#include "app/head_core.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace troupe::app {

/// Gives back what is held for nobody: a hold whose job is not there or has ended (after a crash of something that held
/// without a job, or a bug). Looks once at its start and then every hour, on a thread of its own.
class hold_sweep {
public:
  static constexpr std::size_t releases_max = 1'000; // a sweep; more wait for the next
  static constexpr timestamp interval_ms = 3'600'000;

  explicit hold_sweep(head_core& core);
  ~hold_sweep();
  hold_sweep(const hold_sweep&) = delete;
  hold_sweep& operator=(const hold_sweep&) = delete;

private:
  void run();
  /// Releases the orphans among holds that were made before `made_before`; how many.
  std::size_t sweep(timestamp made_before);

  head_core& core_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace troupe::app
