#include "gpu/engines/scene/scene_engine.hpp"

#include "gpu/engines/parameters.hpp"
#include "gpu/engines/scene/ken_burns.hpp"
#include "gpu/engines/scene/scene_renderer.hpp"
#include "gpu/engines/scene/threads.hpp"
#include "gpu/media/media.hpp"

#include <optional>

namespace troupe::engines {
namespace {

constexpr const char* version = "1";
/// x264 gives other bytes with another number of threads: a film must not depend on the slot it was made in.
constexpr unsigned encoding_threads = 2;
constexpr int preview_width = 320;

struct shot {
  scene::wish wish;
  int frames = 1;
  int frame_rate = 24;
  std::string watermark;
};

/// Draws either from the words alone or on from a given picture.
class painter {
public:
  static boost::system::result<painter, stage_failure> open(const shot& what, const stage_request& request) {
    painter made;
    const scene::scene_plan plan = scene::make_plan(what.wish);
    const auto images = inputs_of(request, "image");
    if (images.empty()) {
      made.words_.emplace(plan, what.wish.width, what.wish.height);
      return made;
    }
    auto picture = media::read_image(images[0]->path);
    if (!picture)
      return to_stage_failure(picture.error());
    auto still = scene::ken_burns::open(plan, *picture, what.wish.width, what.wish.height);
    if (!still)
      return to_stage_failure(still.error());
    made.still_ = std::move(*still);
    return made;
  }

  void render(double seconds, const scene::row_runner& run, std::uint8_t* pixels) {
    if (words_)
      words_->render(seconds, run, pixels);
    else
      still_->render(seconds, run, pixels);
  }

private:
  std::optional<scene::scene_renderer> words_;
  std::optional<scene::ken_burns> still_;
};

boost::system::result<shot, stage_failure> read_shot(const stage_request& request, bool video) {
  parameter_reader read(request.params);
  shot made;
  // 2,000 characters of four bytes each.
  made.wish.prompt = read.text("prompt", "", 8000);
  made.wish.negative_prompt = read.text("negative_prompt", "", 8000);
  made.wish.width = static_cast<int>(read.integer("width", 848, 64, 4096));
  made.wish.height = static_cast<int>(read.integer("height", 480, 64, 4096));
  made.wish.seed = static_cast<std::uint32_t>(read.integer("seed", 0, 0, 0x7FFFFFFF));
  if (made.wish.prompt.empty())
    read.wrong("prompt", "a text of 1 to 2,000 characters");
  if (video) {
    made.frames = static_cast<int>(read.integer("frames", 41, 1, 999));
    made.frame_rate = static_cast<int>(read.integer("frame_rate", 24, 1, 60));
    made.watermark = read.text("watermark", "", 800);
    if (made.wish.width % 2 != 0)
      read.wrong("width", "even");
    if (made.wish.height % 2 != 0)
      read.wrong("height", "even");
  }
  made.wish.duration_s = static_cast<double>(made.frames) / made.frame_rate;
  if (read.failure())
    return *read.failure();
  return made;
}

media::frame blank(const shot& what) {
  media::frame made{what.wish.width, what.wish.height, {}};
  made.rgb.resize(static_cast<std::size_t>(made.width) * static_cast<std::size_t>(made.height) * 3);
  return made;
}

class scene_engine final : public engine {
public:
  description describe() const override {
    return {"scene", version, {{"scene.video", 0, true}, {"scene.image", 0, true}},
            true,    "",      "FFmpeg's libraries with libx264"};
  }

  stage_outcome run(const stage_request& request, stage_context& context) override {
    const bool video = request.kind == "scene.video";
    if (!video && request.kind != "scene.image")
      return stage_failure(fault::bad_input, "the scene engine has no operation " + request.kind);
    auto what = read_shot(request, video);
    if (!what)
      return what.error();
    auto hand = painter::open(*what, request);
    if (!hand)
      return hand.error();
    scene::thread_team team(request.threads);
    const scene::row_runner rows = [&team, &context](int count, const std::function<void(int, int)>& draw) {
      // A picture that nobody waits for any more is not finished: large ones take seconds.
      team.run(count, [&](int from, int to) {
        if (!context.cancelled())
          draw(from, to);
      });
    };
    return video ? film(*what, *hand, rows, request, context) : picture(*what, *hand, rows, request, context);
  }

private:
  static void show(const media::frame& drawn, stage_context& context) {
    if (!context.wants_preview())
      return;
    if (auto jpeg = media::encode_jpeg(drawn, preview_width); jpeg && jpeg->size() <= 64U * 1024)
      context.preview(std::move(*jpeg));
  }

  static stage_outcome film(const shot& what, painter& hand, const scene::row_runner& rows,
                            const stage_request& request, stage_context& context) {
    const auto path = request.folder / "video.mp4";
    media::video_options options;
    options.width = what.wish.width;
    options.height = what.wish.height;
    options.frame_rate = {what.frame_rate, 1};
    options.threads = encoding_threads;
    options.watermark = what.watermark;
    auto writer = media::video_writer::open(path, options);
    if (!writer)
      return to_stage_failure(writer.error());
    media::frame drawn = blank(what);
    for (int n = 0; n < what.frames; ++n) {
      hand.render(static_cast<double>(n) / what.frame_rate, rows, drawn.rgb.data());
      if (context.cancelled())
        return stage_failure(fault::cancelled, "cancelled");
      if (auto written = (*writer)->write(drawn); !written)
        return to_stage_failure(written.error());
      context.progress(static_cast<double>(n + 1) / (what.frames + 1),
                       "frame " + std::to_string(n + 1) + "/" + std::to_string(what.frames));
      show(drawn, context);
    }
    if (auto finished = (*writer)->finish(); !finished)
      return to_stage_failure(finished.error());
    context.progress(1, "frame " + std::to_string(what.frames) + "/" + std::to_string(what.frames));
    json metadata = {{"width", what.wish.width},
                     {"height", what.wish.height},
                     {"frames", what.frames},
                     {"frame_rate", what.frame_rate},
                     {"duration_s", what.wish.duration_s}};
    return stage_output{{{"video", path, "video/mp4", std::move(metadata)}}, "scene/1"};
  }

  static stage_outcome picture(const shot& what, painter& hand, const scene::row_runner& rows,
                               const stage_request& request, stage_context& context) {
    media::frame drawn = blank(what);
    hand.render(0, rows, drawn.rgb.data());
    if (context.cancelled())
      return stage_failure(fault::cancelled, "cancelled");
    show(drawn, context);
    context.progress(0.8, "writing");
    const auto path = request.folder / "image.png";
    if (auto written = media::write_png(path, drawn); !written)
      return to_stage_failure(written.error());
    context.progress(1, "writing");
    json metadata = {{"width", what.wish.width}, {"height", what.wish.height}};
    return stage_output{{{"image", path, "image/png", std::move(metadata)}}, "scene/1"};
  }
};

} // namespace

engine_ptr make_scene_engine() { return std::make_unique<scene_engine>(); }

} // namespace troupe::engines
