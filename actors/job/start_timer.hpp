#pragma once

#include "actors/base/visible.hpp"
#include "actors/job/job_messages.hpp"

#include <vector>

namespace troupe {

/// How long the record of a stage's start waits at most for what follows, to share its batch. Milliseconds.
inline constexpr std::int64_t start_kept_ms = 20;

/// Tells jobs when they have kept a start back for long enough: for half of that time at least. Each stage that starts
/// needs that once, and each alarm of the actor system wakes a thread: here one alarm serves all jobs that ask within
/// that half.
class start_timer final : public visible {
public:
  start_timer(caf::actor_config& config, actor_board& board);
  caf::behavior make_behavior() override;

protected:
  json state_json() const override { return {{"waiting", due_.size() + next_.size()}}; }

private:
  caf::result<void> wait(caf::actor& job);
  caf::result<void> ring(start_timer_rings& m);
  void arm();

  std::vector<caf::actor> due_, next_; // to be told at the next ring, and at the one after it
  bool armed_ = false;
};

} // namespace troupe
