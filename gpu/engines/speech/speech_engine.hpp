#pragma once

#include "gpu/engines/engine.hpp"

namespace troupe::engines {

/// speech.synthesize: text to a WAV of 16-bit mono, in four English voices. The same request gives the same bytes.
engine_ptr make_speech_engine();

/// The engine speaks in processes of its own, which are this program started again: main() calls this first. It returns
/// in every other process, and never in those.
void speak_if_asked(int argc, char** argv);

} // namespace troupe::engines
