#pragma once

#include "gpu/engines/engine.hpp"

namespace troupe::engines {

/// speech.synthesize: text to a WAV of 16-bit mono, in four English voices. The same request gives the same bytes.
engine_ptr make_speech_engine();

} // namespace troupe::engines
