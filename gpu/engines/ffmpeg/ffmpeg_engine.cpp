#include "gpu/engines/ffmpeg/ffmpeg_engine.hpp"

#include "gpu/engines/ffmpeg/edits.hpp"
#include "gpu/engines/parameters.hpp"

namespace troupe::engines {
namespace {

/// x264 gives other bytes with another number of threads: a film must not depend on the slot it was made in.
constexpr unsigned encoding_threads = 2;

struct edit {
  const char* kind;
  edits::plan (*make)(const stage_request&);
  const char* step;
};

constexpr edit known[] = {
    {"ffmpeg.trim", edits::trim, "trimming"},
    {"ffmpeg.concat", edits::concat, "joining"},
    {"ffmpeg.mix", edits::mix, "mixing"},
    {"ffmpeg.subtitle", edits::subtitle, "subtitling"},
    {"ffmpeg.watermark", edits::watermark, "marking"},
};

json metadata_of(const media::video_info& info) {
  return {{"width", info.width},           {"height", info.height},
          {"frames", info.frames},         {"frame_rate", info.frame_rate.value()},
          {"duration_s", info.duration_s}, {"has_audio", info.has_audio}};
}

class ffmpeg_engine final : public engine {
public:
  description describe() const override {
    description made{"ffmpeg", "1", {}, true, "", "FFmpeg's libraries with libx264 and libass, and the DejaVu fonts"};
    for (const auto& one : known)
      made.operations.push_back({one.kind, 0, false});
    if (media::fonts_folder().empty()) {
      made.available = false;
      made.unavailable_reason = "the DejaVu fonts are missing: install the package fonts-dejavu-core";
    }
    return made;
  }

  stage_outcome run(const stage_request& request, stage_context& context) override {
    for (const auto& one : known)
      if (request.kind == one.kind)
        return carry_out(one, request, context);
    return stage_failure(fault::bad_input, "the ffmpeg engine has no operation " + request.kind);
  }

private:
  static stage_outcome carry_out(const edit& chosen, const stage_request& request, stage_context& context) {
    auto plan = chosen.make(request);
    if (!plan)
      return plan.error();
    plan->encoding.threads = encoding_threads;
    plan->progress = [&context, &chosen](double fraction) {
      context.progress(fraction * 0.99, chosen.step);
      return !context.cancelled();
    };
    if (context.cancelled())
      return stage_failure(fault::cancelled, "cancelled");
    const auto path = request.folder / "video.mp4";
    if (auto made = media::compose(path, *plan); !made)
      return to_stage_failure(made.error());
    auto info = media::probe(path);
    if (!info)
      return stage_failure(fault::unknown, "the finished film cannot be read: " + info.error().message);
    context.progress(1, chosen.step);
    auto metadata = metadata_of(*info);
    if (!plan->subtitles.empty())
      metadata["subtitles"] = plan->language;
    return stage_output{{{"video", path, "video/mp4", std::move(metadata)}}, "ffmpeg/1"};
  }
};

} // namespace

engine_ptr make_ffmpeg_engine() { return std::make_unique<ffmpeg_engine>(); }

} // namespace troupe::engines
