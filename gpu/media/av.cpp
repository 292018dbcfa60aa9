#include "gpu/media/av.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <mutex>

extern "C" {
#include <libavutil/opt.h>
}

namespace troupe::media::av {
namespace {

constexpr const char* formats =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv,wav,w64,mp3,flac,ogg,aac,aiff,gif,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe";

constexpr std::int64_t damaged_max = 1000;

} // namespace

void quieten() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_level(AV_LOG_QUIET); });
}

frame_ptr make_frame() {
  frame_ptr made(av_frame_alloc());
  TROUPE_CHECK(made != nullptr);
  return made;
}

result<frame_ptr> make_picture(int width, int height, AVPixelFormat format) {
  auto made = make_frame();
  made->width = width;
  made->height = height;
  made->format = format;
  if (const int allocated = av_frame_get_buffer(made.get(), 0); allocated < 0)
    return error("a picture cannot be made", allocated);
  return made;
}

result<frame_ptr> padded_copy(const frame& picture) {
  auto made = make_picture(picture.width, picture.height, AV_PIX_FMT_RGB24);
  if (made)
    av_image_copy_plane((*made)->data[0], (*made)->linesize[0], picture.rgb.data(), picture.width * 3,
                        picture.width * 3, picture.height);
  return made;
}

void copy_rows(const AVFrame& from, frame& to) {
  to.width = from.width;
  to.height = from.height;
  to.rgb.resize(static_cast<std::size_t>(to.width) * static_cast<std::size_t>(to.height) * 3);
  av_image_copy_plane(to.rgb.data(), to.width * 3, from.data[0], from.linesize[0], to.width * 3, to.height);
}

packet_ptr make_packet() {
  packet_ptr made(av_packet_alloc());
  TROUPE_CHECK(made != nullptr);
  return made;
}

failure error(const std::string& what, int averror) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(averror, text, sizeof text);
  const bool machine = averror == AVERROR(ENOMEM) || averror == AVERROR(ENOSPC) || averror == AVERROR(EIO) ||
                       averror == AVERROR(EDQUOT) || averror == AVERROR(EMFILE) || averror == AVERROR(EROFS);
  return fail(machine ? "machine" : "media", what + ": " + text);
}

result<input_ptr> open_input(const std::filesystem::path& path) {
  quieten();
  input_ptr input;
  AVDictionary* options = nullptr;
  av_dict_set(&options, "format_whitelist", formats, 0);
  av_dict_set(&options, "protocol_whitelist", "file,pipe", 0);
  // The file is opened here and handed over without a name: a name would let its extension, or a pattern in it, choose
  // the format.
  AVIOContext* file = nullptr;
  // Standard input is read as it is: a process that may open nothing more can still read that.
  const std::string url = path == "/dev/stdin" ? "pipe:0" : "file:" + path.string();
  int opened = avio_open(&file, url.c_str(), AVIO_FLAG_READ);
  if (opened >= 0) {
    AVFormatContext* raw = avformat_alloc_context();
    TROUPE_CHECK(raw != nullptr);
    raw->pb = file;
    opened = avformat_open_input(&raw, "", nullptr, &options);
    if (opened < 0)
      avio_closep(&file);
    else
      input.reset(raw);
  }
  av_dict_free(&options);
  if (opened < 0)
    return error("the file is not a media file that can be read", opened);
  if (const int found = avformat_find_stream_info(input.get(), nullptr); found < 0)
    return error("the media file's streams cannot be read", found);
  return input;
}

result<stream_decoder> stream_decoder::open(const std::filesystem::path& path, AVMediaType type, unsigned threads) {
  auto input = open_input(path);
  if (!input)
    return input.error();
  stream_decoder made;
  made.input_ = std::move(*input);
  const char* name = type == AVMEDIA_TYPE_VIDEO ? "picture" : "sound";
  const AVCodec* codec = nullptr;
  made.index_ = av_find_best_stream(made.input_.get(), type, -1, -1, &codec, 0);
  if (made.index_ < 0)
    return fail("media", std::string("the file has no ") + name);
  made.codec_.reset(avcodec_alloc_context3(codec));
  TROUPE_CHECK(made.codec_ != nullptr);
  AVStream* stream = made.input_->streams[made.index_];
  if (const int copied = avcodec_parameters_to_context(made.codec_.get(), stream->codecpar); copied < 0)
    return error(std::string("the file's ") + name + " cannot be decoded", copied);
  made.codec_->thread_count = static_cast<int>(std::clamp(threads, 1U, 16U));
  made.codec_->max_pixels = pixels_max;
  made.codec_->pkt_timebase = stream->time_base;
  made.codec_->flags |= AV_CODEC_FLAG_BITEXACT;
  if (const int opened = avcodec_open2(made.codec_.get(), codec, nullptr); opened < 0)
    return error(std::string("the file's ") + name + " cannot be decoded", opened);
  for (unsigned i = 0; i < made.input_->nb_streams; ++i)
    made.input_->streams[i]->discard = static_cast<int>(i) == made.index_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  return made;
}

result<bool> stream_decoder::next(AVFrame* out) {
  for (;;) {
    const int got = avcodec_receive_frame(codec_.get(), out);
    if (got == 0) {
      ++decoded_;
      return true;
    }
    if (got == AVERROR_EOF) {
      if (decoded_ == 0)
        return fail("media", "nothing in the file could be decoded");
      return false;
    }
    if (got == AVERROR(ENOMEM))
      return error("decoding", got);
    if (got == AVERROR(EAGAIN)) {
      if (auto fed = feed(); !fed)
        return fed.error();
    } else if (++damaged_ > damaged_max) {
      return error("the file is too damaged to decode", got);
    }
  }
}

result<void> stream_decoder::feed() {
  while (!at_end_) {
    const int read = av_read_frame(input_.get(), packet_.get());
    if (read < 0) {
      // A file cut short decodes as far as it goes, as players do it.
      at_end_ = true;
      avcodec_send_packet(codec_.get(), nullptr);
      return {};
    }
    const bool ours = packet_->stream_index == index_;
    const int sent = ours ? avcodec_send_packet(codec_.get(), packet_.get()) : 0;
    av_packet_unref(packet_.get());
    if (sent == AVERROR(ENOMEM))
      return error("decoding", sent);
    if (ours)
      return {};
  }
  return {};
}

result<scaler_ptr> make_scaler(int from_width, int from_height, AVPixelFormat from, AVColorSpace space,
                               AVColorRange range, int to_width, int to_height, AVPixelFormat to) {
  const int method = from_width == to_width && from_height == to_height ? SWS_BICUBIC : SWS_LANCZOS;
  scaler_ptr made(sws_alloc_context());
  TROUPE_CHECK(made != nullptr);
  const auto set = [&made](const char* name, std::int64_t value) { av_opt_set_int(made.get(), name, value, 0); };
  set("srcw", from_width);
  set("srch", from_height);
  set("src_format", from);
  set("dstw", to_width);
  set("dsth", to_height);
  set("dst_format", to);
  set("sws_flags", method | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP);
  const auto is_rgb = [](AVPixelFormat f) {
    const auto* d = av_pix_fmt_desc_get(f);
    return d != nullptr && (d->flags & AV_PIX_FMT_FLAG_RGB) != 0;
  };
  // Untagged small video is BT.601 by custom, untagged large video BT.709; what we write is tagged BT.709.
  const auto guess = from_height > 576 ? SWS_CS_ITU709 : SWS_CS_ITU601;
  const int source = is_rgb(from) ? SWS_CS_ITU709 : space == AVCOL_SPC_UNSPECIFIED ? guess : static_cast<int>(space);
  const int from_full = is_rgb(from) || range == AVCOL_RANGE_JPEG;
  sws_setColorspaceDetails(made.get(), sws_getCoefficients(source), from_full, sws_getCoefficients(SWS_CS_ITU709),
                           is_rgb(to) || to == AV_PIX_FMT_YUVJ420P, 0, 1 << 16, 1 << 16);
  if (const int ready = sws_init_context(made.get(), nullptr, nullptr); ready < 0)
    return error("the picture's format cannot be converted", ready);
  return made;
}

} // namespace troupe::media::av
