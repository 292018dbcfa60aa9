#include "gpu/media/mp4.hpp"

#include "common/check.hpp"

#include <algorithm>

extern "C" {
#include <libavutil/opt.h>
}

namespace troupe::media::av {
namespace {

result<bsf_ptr> drop_encoder_name(const AVCodecContext& codec) {
  // x264 writes its version and options into a user-data unit (NAL type 6) of the first packet.
  AVBSFContext* raw = nullptr;
  if (const int parsed = av_bsf_list_parse_str("filter_units=remove_types=6", &raw); parsed < 0)
    return error("the video encoder cannot be set up", parsed);
  bsf_ptr made(raw);
  TROUPE_CHECK(avcodec_parameters_from_context(made->par_in, &codec) >= 0);
  made->time_base_in = codec.time_base;
  if (const int ready = av_bsf_init(made.get()); ready < 0)
    return error("the video encoder cannot be set up", ready);
  return made;
}

} // namespace

result<video_encoder> video_encoder::open(const video_options& options, mp4_file& into) {
  if (options.width < 16 || options.height < 16 || options.width % 2 != 0 || options.height % 2 != 0 ||
      static_cast<std::int64_t>(options.width) * options.height > pixels_max)
    return fail("media", "a video's width and height must be even and at least 16");
  if (options.frame_rate.num <= 0 || options.frame_rate.den <= 0)
    return fail("media", "a video's frame rate must be above 0");
  const AVCodec* x264 = avcodec_find_encoder_by_name("libx264");
  if (x264 == nullptr)
    return fail("machine", "this FFmpeg was built without libx264");
  video_encoder made;
  made.codec_.reset(avcodec_alloc_context3(x264));
  TROUPE_CHECK(made.codec_ != nullptr);
  AVCodecContext& codec = *made.codec_;
  codec.width = options.width;
  codec.height = options.height;
  codec.pix_fmt = AV_PIX_FMT_YUV420P;
  codec.framerate = {options.frame_rate.num, options.frame_rate.den};
  codec.time_base = av_inv_q(codec.framerate);
  codec.color_range = AVCOL_RANGE_MPEG;
  codec.colorspace = AVCOL_SPC_BT709;
  codec.color_primaries = AVCOL_PRI_BT709;
  codec.color_trc = AVCOL_TRC_BT709;
  codec.thread_count = static_cast<int>(std::clamp(options.threads, 1U, 16U));
  codec.flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
  av_opt_set(codec.priv_data, "preset", options.preset.c_str(), 0);
  av_opt_set_double(codec.priv_data, "crf", std::clamp(options.crf, 0, 51), 0);
  av_opt_set(codec.priv_data, "x264-params", "cpu-independent=1", 0);
  if (const int opened = avcodec_open2(&codec, x264, nullptr); opened < 0)
    return error("the video encoder cannot be opened", opened);
  auto bsf = drop_encoder_name(codec);
  if (!bsf)
    return bsf.error();
  made.bsf_ = std::move(*bsf);
  made.stream_ = into.add(*made.bsf_->par_out, codec.time_base);
  into.stream(made.stream_).avg_frame_rate = codec.framerate;
  return made;
}

result<void> video_encoder::encode(AVFrame* picture, mp4_file& into) {
  if (picture != nullptr) {
    picture->pts = next_++;
    picture->pict_type = AV_PICTURE_TYPE_NONE;
  }
  if (const int sent = avcodec_send_frame(codec_.get(), picture); sent < 0)
    return error("a picture cannot be encoded", sent);
  if (auto drained = drain(into); !drained)
    return drained;
  return picture == nullptr ? filter(nullptr, into) : result<void>{};
}

result<void> video_encoder::drain(mp4_file& into) {
  for (;;) {
    const int got = avcodec_receive_packet(codec_.get(), packet_.get());
    if (got == AVERROR(EAGAIN) || got == AVERROR_EOF)
      return {};
    if (got < 0)
      return error("a picture cannot be encoded", got);
    packet_->duration = 1;
    if (auto written = filter(packet_.get(), into); !written)
      return written;
  }
}

result<void> video_encoder::filter(AVPacket* packet, mp4_file& into) {
  if (const int sent = av_bsf_send_packet(bsf_.get(), packet); sent < 0)
    return error("a picture cannot be encoded", sent);
  for (;;) {
    const int got = av_bsf_receive_packet(bsf_.get(), packet_.get());
    if (got == AVERROR(EAGAIN) || got == AVERROR_EOF)
      return {};
    if (got < 0)
      return error("a picture cannot be encoded", got);
    if (auto written = into.write(packet_.get(), stream_, codec_->time_base); !written)
      return written;
  }
}

result<audio_encoder> audio_encoder::open(mp4_file& into) {
  const AVCodec* aac = avcodec_find_encoder(AV_CODEC_ID_AAC);
  TROUPE_CHECK(aac != nullptr);
  audio_encoder made;
  made.codec_.reset(avcodec_alloc_context3(aac));
  TROUPE_CHECK(made.codec_ != nullptr);
  AVCodecContext& codec = *made.codec_;
  codec.sample_rate = sample_rate;
  codec.sample_fmt = AV_SAMPLE_FMT_FLTP;
  codec.time_base = {1, sample_rate};
  codec.bit_rate = 160'000;
  codec.thread_count = 1;
  codec.flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
  av_channel_layout_default(&codec.ch_layout, 2);
  if (const int opened = avcodec_open2(&codec, aac, nullptr); opened < 0)
    return error("the sound encoder cannot be opened", opened);
  AVCodecParameters* parameters = avcodec_parameters_alloc();
  TROUPE_CHECK(parameters != nullptr && avcodec_parameters_from_context(parameters, &codec) >= 0);
  made.stream_ = into.add(*parameters, codec.time_base);
  avcodec_parameters_free(&parameters);
  return made;
}

result<void> audio_encoder::encode(AVFrame* samples, mp4_file& into) {
  if (samples != nullptr) {
    samples->pts = next_;
    next_ += samples->nb_samples;
  }
  if (const int sent = avcodec_send_frame(codec_.get(), samples); sent < 0)
    return error("the sound cannot be encoded", sent);
  for (;;) {
    const int got = avcodec_receive_packet(codec_.get(), packet_.get());
    if (got == AVERROR(EAGAIN) || got == AVERROR_EOF)
      return {};
    if (got < 0)
      return error("the sound cannot be encoded", got);
    if (auto written = into.write(packet_.get(), stream_, codec_->time_base); !written)
      return written;
  }
}

} // namespace troupe::media::av
