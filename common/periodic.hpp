#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace troupe {

/// Does something every `interval`, first after `first`, on a thread of its own. An owner declares it last, so that it
/// has ended before anything it uses. Ends when destroyed: at once while it pauses, else after the turn it is in.
class periodic {
public:
  using turn = std::function<void(std::stop_token)>; // a long one looks at the token

  periodic(std::chrono::milliseconds first, std::chrono::milliseconds interval, turn what);
  periodic(const periodic&) = delete;
  periodic& operator=(const periodic&) = delete;

private:
  void run(const std::stop_token& stop, std::chrono::milliseconds first, std::chrono::milliseconds interval,
           const turn& what);

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

} // namespace troupe
