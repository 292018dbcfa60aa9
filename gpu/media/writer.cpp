#include "gpu/media/media.hpp"
#include "gpu/media/mp4.hpp"
#include "gpu/media/stamp.hpp"

#include "common/check.hpp"

namespace troupe::media {
namespace {

class writer final : public video_writer {
public:
  static result<std::unique_ptr<writer>> open(const std::filesystem::path& path, const video_options& options) {
    auto file = av::mp4_file::create(path);
    if (!file)
      return file.error();
    auto encoder = av::video_encoder::open(options, *file);
    if (!encoder)
      return encoder.error();
    auto made = std::make_unique<writer>(options, std::move(*file), std::move(*encoder));
    if (auto ready = made->prepare(); !ready)
      return ready.error();
    return made;
  }

  writer(const video_options& options, av::mp4_file file, av::video_encoder encoder)
    : options_(options), file_(std::move(file)), encoder_(std::move(encoder)) {}

  result<void> write(const frame& picture) override {
    const auto size = static_cast<std::size_t>(options_.width) * static_cast<std::size_t>(options_.height) * 3;
    if (picture.width != options_.width || picture.height != options_.height || picture.rgb.size() != size)
      return fail("media", "a picture has another size than its video");
    av::frame_ptr copied;
    const AVFrame* given = nullptr;
    if (stamp_) {
      auto stamped = stamp_->apply(picture);
      if (!stamped)
        return stamped.error();
      given = *stamped;
    } else {
      auto copy = av::padded_copy(picture);
      if (!copy)
        return copy.error();
      copied = std::move(*copy);
      given = copied.get();
    }
    // The encoder may still read the last picture, so each gets its own memory.
    auto converted = av::make_picture(options_.width, options_.height, AV_PIX_FMT_YUV420P);
    if (!converted)
      return converted.error();
    sws_scale(scaler_.get(), given->data, given->linesize, 0, picture.height, (*converted)->data,
              (*converted)->linesize);
    if (auto encoded = encoder_.encode(converted->get(), file_); !encoded)
      return encoded;
    return audio_ ? audio_->copy_until(encoder_.seconds(), file_) : result<void>{};
  }

  result<void> finish() override {
    if (encoder_.seconds() <= 0)
      return fail("media", "a video without a picture cannot be made");
    if (auto encoded = encoder_.encode(nullptr, file_); !encoded)
      return encoded;
    if (audio_)
      if (auto copied = audio_->copy_until(1e12, file_); !copied)
        return copied;
    return file_.finish();
  }

private:
  result<void> prepare() {
    if (!options_.copy_audio_from.empty()) {
      auto audio = av::stream_copier::open(options_.copy_audio_from, AVMEDIA_TYPE_AUDIO, file_);
      if (!audio)
        return audio.error();
      audio_ = std::move(*audio);
    }
    if (!options_.watermark.empty()) {
      auto stamp = av::stamp::open(options_.width, options_.height, options_.watermark);
      if (!stamp)
        return stamp.error();
      stamp_ = std::move(*stamp);
    }
    auto scaler = av::make_scaler(options_.width, options_.height, AV_PIX_FMT_RGB24, AVCOL_SPC_RGB, AVCOL_RANGE_JPEG,
                                  options_.width, options_.height, AV_PIX_FMT_YUV420P);
    if (!scaler)
      return scaler.error();
    scaler_ = std::move(*scaler);
    return file_.start();
  }

  video_options options_;
  av::mp4_file file_;
  av::video_encoder encoder_;
  av::scaler_ptr scaler_;
  std::optional<av::stream_copier> audio_;
  std::optional<av::stamp> stamp_;
};

} // namespace

result<std::unique_ptr<video_writer>> video_writer::open(const std::filesystem::path& path,
                                                         const video_options& options) {
  auto made = writer::open(path, options);
  if (!made)
    return made.error();
  return std::unique_ptr<video_writer>(std::move(*made));
}

} // namespace troupe::media
