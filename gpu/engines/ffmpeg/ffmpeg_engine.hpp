#pragma once

// Editing: trim, concat, mix, subtitle and watermark, by FFmpeg's libraries in this process.

#include "gpu/engines/engine.hpp"

namespace troupe::engines {

engine_ptr make_ffmpeg_engine();

} // namespace troupe::engines
