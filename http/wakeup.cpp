#include "http/wakeup.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <mutex>
#include <optional>
#include <utility>

namespace troupe::http {

namespace asio = boost::asio;

struct wakeup::state {
  explicit state(asio::any_io_executor executor) : timer(std::in_place, std::move(executor)) {}
  std::mutex mutex; // guards rung and closed; the timer belongs to the executor
  bool rung = false;
  bool closed = false;
  std::optional<asio::steady_timer> timer; // gone once closed, as ringers may outlive the executor

  bool take() {
    std::lock_guard lock{mutex};
    return std::exchange(rung, false);
  }
  bool is_closed() {
    std::lock_guard lock{mutex};
    return closed;
  }
};

wakeup::wakeup(asio::any_io_executor executor) : state_(std::make_shared<state>(std::move(executor))) {}

wakeup::~wakeup() = default;

void wakeup::poke() noexcept {
  try {
    std::lock_guard lock{state_->mutex};
    if (state_->closed || std::exchange(state_->rung, true))
      return;
    // Posted under the lock: close() cannot return, and so the executor cannot end, in between.
    asio::post(state_->timer->get_executor(), [weak = std::weak_ptr<state>(state_)] {
      if (auto s = weak.lock(); s && s->timer)
        s->timer->cancel();
    });
  } catch (...) { // out of memory: the sleeper wakes by its time-out
  }
}

asio::awaitable<bool> wakeup::wait(std::chrono::milliseconds at_most) {
  auto s = state_; // the coroutine may be the last owner of a state whose wakeup is gone
  auto until = std::chrono::steady_clock::now() + at_most;
  for (;;) {
    if (s->take())
      co_return true;
    if (s->is_closed() || std::chrono::steady_clock::now() >= until)
      co_return false;
    // A cancel of an earlier ring may end this early; the loop looks again.
    s->timer->expires_at(until);
    co_await s->timer->async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

void wakeup::close() noexcept {
  std::lock_guard lock{state_->mutex};
  state_->closed = true;
  state_->timer.reset(); // ends a wait, too
}

} // namespace troupe::http
