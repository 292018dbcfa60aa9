#include "gpu/engines/all.hpp"

#include "gpu/engines/ffmpeg/ffmpeg_engine.hpp"
#include "gpu/engines/null/null_engine.hpp"
#include "gpu/engines/onnx/runtime.hpp"
#include "gpu/engines/scene/scene_engine.hpp"
#include "gpu/engines/speech/speech_engine.hpp"
#include "gpu/engines/transcribe/transcribe_engine.hpp"
#include "gpu/engines/upscale/upscale_engine.hpp"

namespace troupe::engines {

std::vector<engine_ptr> all() {
  std::vector<engine_ptr> out;
  auto prefix = onnx::install_prefix();
  out.push_back(make_scene_engine());
  out.push_back(make_upscale_engine(prefix));
  out.push_back(make_speech_engine());
  out.push_back(make_transcribe_engine(prefix));
  out.push_back(make_ffmpeg_engine());
  out.push_back(make_null_engine());
  return out;
}

} // namespace troupe::engines
