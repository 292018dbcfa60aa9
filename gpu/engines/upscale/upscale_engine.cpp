#include "gpu/engines/upscale/upscale_engine.hpp"

#include "gpu/engines/parameters.hpp"
#include "gpu/engines/upscale/neural.hpp"
#include "gpu/media/media.hpp"

#include <algorithm>

namespace troupe::engines {

namespace {

namespace fs = std::filesystem;

constexpr const char* engine_version = "upscale/1";
constexpr int side_max = 16'384;                      // of the result
constexpr std::int64_t pixels_max = 64 * 1024 * 1024; // of the result
constexpr int crf = 18;                               // detail just made should not be coded away

struct order {
  int factor = 2;
  bool neural = true;
  unsigned threads = 1;
};

std::optional<stage_failure> too_large(int width, int height, int factor) {
  const std::int64_t wide = std::int64_t{width} * factor;
  const std::int64_t high = std::int64_t{height} * factor;
  if (wide <= side_max && high <= side_max && wide * high <= pixels_max)
    return std::nullopt;
  return stage_failure(fault::bad_input, std::to_string(wide) + "x" + std::to_string(high) +
                                             " is more than can be made: choose a smaller factor");
}

class upscale_engine final : public engine {
public:
  explicit upscale_engine(fs::path prefix) : prefix_(std::move(prefix)) {}

  description describe() const override {
    description out;
    out.name = "upscale";
    out.version = "1";
    out.operations = {{"upscale.video"}, {"upscale.image"}};
    out.needs = std::string("ONNX Runtime and ") + upscale_model;
    const std::string file = upscale_model;
    if (auto why = onnx::missing(prefix_, std::span(&file, 1)); !why.empty()) {
      out.available = false;
      out.unavailable_reason = "neural upscaler unavailable: " + why + " (the method lanczos works without it)";
    }
    return out;
  }

  stage_outcome run(const stage_request& request, stage_context& context) override {
    const bool video = request.kind == "upscale.video";
    if (!video && request.kind != "upscale.image")
      return stage_failure(fault::bad_input, "this engine does not do " + request.kind);
    parameter_reader params(request.params);
    order what;
    what.factor = static_cast<int>(params.integer("factor", 2, 1, 4));
    what.neural = params.choice("method", {"neural", "lanczos"}) == "neural";
    what.threads = std::max(1U, request.threads);
    if (params.failure())
      return *params.failure();
    const auto inputs = inputs_of(request, video ? "video" : "image");
    if (inputs.size() != 1)
      return stage_failure(fault::bad_input, "there must be one input to enlarge");
    const auto& input = *inputs.front();
    if (what.factor == 1 && (video || input.content_type == "image/png"))
      return hand_through(input, request, video);
    if (what.neural && what.factor > 1)
      if (auto ready = make_ready(); !ready)
        return stage_failure(fault::unknown, "neural upscaler unavailable: " + ready.error().message);
    return video ? enlarge_video(input, request, what, context) : enlarge_image(input, request, what, context);
  }

private:
  /// The net is opened by the first run that wants it.
  result<void> make_ready() {
    std::lock_guard lock(mutex_);
    if (neural_)
      return {};
    auto opened = neural_upscaler::open(prefix_);
    if (!opened)
      return opened.error();
    neural_ = *opened;
    return {};
  }

  static stage_output finished(output_file file) {
    stage_output out;
    out.files.push_back(std::move(file));
    out.engine = engine_version;
    return out;
  }

  static stage_outcome hand_through(const input_file& input, const stage_request& request, bool video) {
    auto path = request.folder / (video ? "video" : "image");
    path += input.path.extension();
    std::error_code error;
    fs::copy_file(input.path, path, error);
    if (error)
      return stage_failure(fault::unknown, "the input could not be copied: " + error.message());
    return finished({video ? "video" : "image", path, input.content_type, input.metadata});
  }

  result<media::frame> enlarge(media::frame picture, const order& what, stage_context& context) const {
    const int width = picture.width * what.factor;
    const int height = picture.height * what.factor;
    if (what.neural) {
      const auto stop = [&] { return context.cancelled(); };
      for (int done = 1; done * 2 <= what.factor; done *= 2) {
        auto larger = neural_->twice(picture, what.threads, stop);
        if (!larger)
          return larger;
        picture = std::move(*larger);
      }
    }
    if (picture.width == width)
      return picture;
    return media::resize(picture, width, height);
  }

  stage_outcome enlarge_image(const input_file& input, const stage_request& request, const order& what,
                              stage_context& context) const {
    auto picture = media::read_image(input.path);
    if (!picture)
      return to_stage_failure(picture.error());
    if (auto why = too_large(picture->width, picture->height, what.factor))
      return *why;
    const auto larger = enlarge(std::move(*picture), what, context);
    if (!larger)
      return to_stage_failure(larger.error());
    context.progress(0.9, "writing");
    show(*larger, context);
    const auto path = request.folder / "image.png";
    if (auto written = media::write_png(path, *larger); !written)
      return stage_failure(fault::unknown, written.error().message);
    return finished({"image", path, "image/png", {{"width", larger->width}, {"height", larger->height}}});
  }

  stage_outcome enlarge_video(const input_file& input, const stage_request& request, const order& what,
                              stage_context& context) const {
    auto reader = media::video_reader::open(input.path, what.threads);
    if (!reader)
      return to_stage_failure(reader.error());
    const auto info = (*reader)->info();
    if (auto why = too_large(info.width, info.height, what.factor))
      return *why;
    media::video_options options;
    options.width = info.width * what.factor / 2 * 2;
    options.height = info.height * what.factor / 2 * 2;
    options.frame_rate = info.frame_rate;
    options.crf = crf;
    options.threads = what.threads;
    if (info.has_audio)
      options.copy_audio_from = input.path;
    const auto path = request.folder / "video.mp4";
    auto writer = media::video_writer::open(path, options);
    if (!writer)
      return to_stage_failure(writer.error());
    std::int64_t frames = 0;
    if (auto why = enlarge_frames(**reader, **writer, options, what, context, frames))
      return *why;
    if (auto done = (*writer)->finish(); !done)
      return to_stage_failure(done.error());
    const double rate = info.frame_rate.value();
    return finished({"video",
                     path,
                     "video/mp4",
                     {{"width", options.width},
                      {"height", options.height},
                      {"frames", frames},
                      {"frame_rate", rate},
                      {"duration_s", static_cast<double>(frames) / rate}}});
  }

  std::optional<stage_failure> enlarge_frames(media::video_reader& reader, media::video_writer& writer,
                                              const media::video_options& options, const order& what,
                                              stage_context& context, std::int64_t& frames) const {
    const auto expected = std::max<std::int64_t>(1, reader.info().frames);
    for (media::frame picture;; ++frames) {
      if (context.cancelled())
        return stage_failure(fault::cancelled, "cancelled");
      const auto more = reader.next(picture);
      if (!more)
        return to_stage_failure(more.error());
      if (!*more)
        break;
      auto larger = enlarge(std::move(picture), what, context);
      if (larger && (larger->width != options.width || larger->height != options.height))
        larger = media::resize(*larger, options.width, options.height); // H.264's chroma wants even sides
      if (!larger)
        return to_stage_failure(larger.error());
      show(*larger, context);
      if (auto written = writer.write(*larger); !written)
        return stage_failure(fault::unknown, written.error().message);
      context.progress(std::min(1.0, static_cast<double>(frames + 1) / static_cast<double>(expected)),
                       "frame " + std::to_string(frames + 1) + "/" + std::to_string(std::max(expected, frames + 1)));
    }
    if (frames == 0)
      return stage_failure(fault::bad_input, "the video has no pictures");
    return std::nullopt;
  }

  static void show(const media::frame& picture, stage_context& context) {
    if (!context.wants_preview())
      return;
    constexpr int preview_width = 320;
    if (auto jpeg = media::encode_jpeg(picture, preview_width))
      context.preview(std::move(*jpeg));
  }

  const fs::path prefix_;
  std::mutex mutex_;
  std::shared_ptr<const neural_upscaler> neural_;
};

} // namespace

engine_ptr make_upscale_engine(const fs::path& prefix) { return std::make_unique<upscale_engine>(prefix); }

} // namespace troupe::engines
