#pragma once

#include "gpu/engines/engine.hpp"

#include <vector>

namespace troupe::engines {

/// Every embedded engine, available or not; weights and runtimes come from where scripts/deps put them.
std::vector<engine_ptr> all();

} // namespace troupe::engines
