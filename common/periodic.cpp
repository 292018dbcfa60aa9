#include "common/periodic.hpp"

namespace troupe {

periodic::periodic(std::chrono::milliseconds first, std::chrono::milliseconds interval, turn what)
  : thread_([this, first, interval, what = std::move(what)](const std::stop_token& stop) {
      run(stop, first, interval, what);
    }) {}

void periodic::run(const std::stop_token& stop, std::chrono::milliseconds first, std::chrono::milliseconds interval,
                   const turn& what) {
  for (auto pause = first;; pause = interval) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, pause, [] { return false; });
    }
    if (stop.stop_requested())
      return;
    what(stop);
  }
}

} // namespace troupe
