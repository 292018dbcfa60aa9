#include "actors/job/start_timer.hpp"

#include <utility>

namespace troupe {

start_timer::start_timer(caf::actor_config& config, actor_board& board)
  : visible(config, board, "start_timer", "main", "") {}

caf::behavior start_timer::make_behavior() {
  return {on(&start_timer::wait), on(&start_timer::ring), on(&start_timer::inspect_self)};
}

caf::result<void> start_timer::wait(caf::actor& job) {
  next_.push_back(std::move(job));
  arm();
  return {};
}

caf::result<void> start_timer::ring(start_timer_rings&) {
  armed_ = false;
  for (auto& job : std::exchange(due_, std::exchange(next_, {})))
    tell(job, kept_too_long{});
  if (!due_.empty())
    arm();
  return {};
}

void start_timer::arm() {
  if (!std::exchange(armed_, true))
    delayed_send(this, std::chrono::milliseconds(start_kept_ms / 2), start_timer_rings{});
}

} // namespace troupe
