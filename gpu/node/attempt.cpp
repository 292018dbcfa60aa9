#include "gpu/node/attempt.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace troupe::node {

void attempt::progress(double fraction, const std::string& step) {
  wire::progress message{what.ref, 0, step};
  {
    std::lock_guard guard(mutex_);
    auto now = steady_ms();
    if (cancelled() || (progress_at_ != 0 && now - progress_at_ < limits_.progress_ms))
      return;
    progress_at_ = now;
    if (std::isfinite(fraction))
      fraction_ = std::max(fraction_, std::clamp(fraction, 0.0, 1.0));
    message.fraction = fraction_;
  }
  send_(std::move(message));
}

void attempt::preview(std::string jpeg) {
  {
    std::lock_guard guard(mutex_);
    auto now = steady_ms();
    bool early = preview_at_ != 0 && now - preview_at_ < limits_.preview_ms;
    if (cancelled() || early || jpeg.empty() || jpeg.size() > limits_.preview_bytes)
      return;
    preview_at_ = now;
  }
  send_(wire::preview{what.ref, std::move(jpeg)});
}

bool attempt::wants_preview() {
  std::lock_guard guard(mutex_);
  return !cancelled() && (preview_at_ == 0 || steady_ms() - preview_at_ >= limits_.preview_ms);
}

void attempt::on_cancel(std::function<void()> breaker) {
  std::lock_guard guard(stop_mutex_);
  if (cancelled() && breaker)
    breaker();
  else
    stop_ = std::move(breaker);
}

void attempt::stop(break_off why) {
  auto none = break_off::none;
  if (!why_.compare_exchange_strong(none, why))
    return;
  stopped_at_ = steady_ms();
  std::lock_guard guard(stop_mutex_);
  try {
    if (auto breaker = std::exchange(stop_, nullptr))
      breaker();
  } catch (const std::exception& e) {
    log::error("the engine of job {} stage {} cannot be broken off: {}", what.ref.job, what.ref.stage, e.what());
  }
}

void attempt::begin_run() {
  began_at_ = steady_ms();
  running_ = true;
}

void attempt::end_run() {
  running_ = false;
  run_ms_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(steady_ms() - began_at_, 0, UINT32_MAX));
}

bool attempt::timed_out(std::int64_t now) const {
  return running_ && what.timeout_ms > 0 && now - began_at_ >= what.timeout_ms;
}

} // namespace troupe::node
