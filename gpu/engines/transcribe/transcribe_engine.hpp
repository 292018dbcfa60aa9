#pragma once

#include "gpu/engines/engine.hpp"

#include <filesystem>

namespace troupe::engines {

/// transcribe.audio: English speech in a sound or film to subtitles (SubRip) and words with times (JSON). `prefix` is
/// where the models and their runtime are installed.
engine_ptr make_transcribe_engine(const std::filesystem::path& prefix);

} // namespace troupe::engines
