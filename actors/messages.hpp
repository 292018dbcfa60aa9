#pragma once

// All messages of all actors, and their registration with the actor system.

#include "actors/cluster/cluster_messages.hpp"

namespace troupe {

/// Called once, before the first actor system of the process.
void register_messages();

} // namespace troupe
