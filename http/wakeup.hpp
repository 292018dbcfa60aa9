#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>

namespace troupe::http {

/// A bell that other threads ring to wake one sleeping coroutine. Rings before a wait are remembered (as one).
/// Ringers may outlive the coroutine and its executor, as long as `close()` was called before the executor ended.
class wakeup {
public:
  explicit wakeup(boost::asio::any_io_executor executor);
  ~wakeup();
  wakeup(const wakeup&) = delete;
  wakeup& operator=(const wakeup&) = delete;

  /// Rings; from any thread, never blocks for long, never throws.
  void poke() noexcept;

  /// For the one coroutine that runs on the executor: true when it was rung, false when the time is over or it closed.
  boost::asio::awaitable<bool> wait(std::chrono::milliseconds at_most);

  /// No ring reaches the executor after this returns; to be called on the executor.
  void close() noexcept;

private:
  struct state;
  std::shared_ptr<state> state_;
};

} // namespace troupe::http
