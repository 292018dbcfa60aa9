#pragma once

#include <caf/fwd.hpp>

namespace troupe {

/// Makes an actor system built from `config` run its actors from one queue, as CAF's policy "sharing" does, but without
/// waking a worker for a single actor that another worker's own work has made ready: that worker takes it next. Of a
/// chain of messages each link would else wake a processor that finds nothing left to do. See docs/decisions/0029.
void use_worker_queue(caf::actor_system_config& config);

} // namespace troupe
