#pragma once

#include "gpu/engines/engine.hpp"

#include <filesystem>

namespace troupe::engines {

/// upscale.video and upscale.image: two, three or four times as large, by a small net or by Lanczos. `prefix` is where
/// the net and its runtime are installed; without them describe() says so, and only Lanczos works.
engine_ptr make_upscale_engine(const std::filesystem::path& prefix);

} // namespace troupe::engines
