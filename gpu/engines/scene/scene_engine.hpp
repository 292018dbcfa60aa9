#pragma once

// Text to video and to pictures without a net: a renderer that draws what the words name. It stands in for the named
// models until a real backend serves them, and says so.

#include "gpu/engines/engine.hpp"

namespace troupe::engines {

engine_ptr make_scene_engine();

} // namespace troupe::engines
