#include "gpu/media/av.hpp"
#include "gpu/media/media.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::media {
namespace {

rational frame_rate_of(const AVStream& stream) {
  AVRational rate = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  if (rate.num <= 0 || rate.den <= 0 || av_q2d(rate) > 240 || av_q2d(rate) < 0.1)
    rate = {24, 1};
  return {rate.num, rate.den};
}

double duration_of(const AVStream& stream, const AVFormatContext& input) {
  if (stream.duration > 0)
    return static_cast<double>(stream.duration) * av_q2d(stream.time_base);
  return input.duration > 0 ? static_cast<double>(input.duration) / AV_TIME_BASE : 0;
}

result<video_info> describe(const AVFormatContext& input, const AVStream& stream) {
  video_info info;
  info.width = stream.codecpar->width;
  info.height = stream.codecpar->height;
  if (info.width <= 0 || info.height <= 0 || static_cast<std::int64_t>(info.width) * info.height > av::pixels_max)
    return fail("media", "the video's pictures are missing or larger than 64 megapixels");
  info.frame_rate = frame_rate_of(stream);
  info.duration_s = duration_of(stream, input);
  info.frames = stream.nb_frames > 0
                    ? stream.nb_frames
                    : static_cast<std::int64_t>(std::llround(info.duration_s * info.frame_rate.value()));
  info.codec = avcodec_get_name(stream.codecpar->codec_id);
  for (unsigned i = 0; i < input.nb_streams && !info.has_audio; ++i)
    if (input.streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) {
      info.has_audio = true;
      info.audio_codec = avcodec_get_name(input.streams[i]->codecpar->codec_id);
    }
  return info;
}

class reader final : public video_reader {
public:
  reader(av::stream_decoder decoder, video_info info) : decoder_(std::move(decoder)), info_(info) {}

  const video_info& info() const override { return info_; }

  result<bool> next(frame& out) override {
    auto more = decoder_.next(decoded_.get());
    if (!more || !*more)
      return more;
    const AVFrame& f = *decoded_;
    if (f.width <= 0 || f.height <= 0)
      return fail("media", "the video holds a picture without a size");
    if (auto ready = prepare(f); !ready)
      return ready.error();
    sws_scale(scaler_.get(), f.data, f.linesize, 0, f.height, scaled_->data, scaled_->linesize);
    av::copy_rows(*scaled_, out);
    av_frame_unref(decoded_.get());
    return true;
  }

private:
  /// A stream may change its size or format on the way; what comes out keeps the size that info() promised.
  result<void> prepare(const AVFrame& f) {
    if (scaler_ && f.width == width_ && f.height == height_ && f.format == format_)
      return {};
    auto made = av::make_scaler(f.width, f.height, static_cast<AVPixelFormat>(f.format), f.colorspace, f.color_range,
                                info_.width, info_.height, AV_PIX_FMT_RGB24);
    if (!made)
      return made.error();
    if (!scaled_) {
      auto picture = av::make_picture(info_.width, info_.height, AV_PIX_FMT_RGB24);
      if (!picture)
        return picture.error();
      scaled_ = std::move(*picture);
    }
    scaler_ = std::move(*made);
    width_ = f.width;
    height_ = f.height;
    format_ = f.format;
    return {};
  }

  av::stream_decoder decoder_;
  video_info info_;
  av::frame_ptr decoded_ = av::make_frame();
  av::frame_ptr scaled_; // one for all pictures
  av::scaler_ptr scaler_;
  int width_ = 0;
  int height_ = 0;
  int format_ = -1;
};

} // namespace

result<video_info> probe(const std::filesystem::path& path) {
  auto input = av::open_input(path);
  if (!input)
    return input.error();
  const int index = av_find_best_stream(input->get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (index < 0)
    return fail("media", "the file has no picture");
  return describe(**input, *(*input)->streams[index]);
}

result<std::unique_ptr<video_reader>> video_reader::open(const std::filesystem::path& path, unsigned threads) {
  auto decoder = av::stream_decoder::open(path, AVMEDIA_TYPE_VIDEO, threads);
  if (!decoder)
    return decoder.error();
  auto info = describe(decoder->input(), decoder->stream());
  if (!info)
    return info.error();
  return std::unique_ptr<video_reader>(std::make_unique<reader>(std::move(*decoder), *info));
}

} // namespace troupe::media
