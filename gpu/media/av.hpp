#pragma once

// FFmpeg's objects with owners, and the two things everyone here does with them: open a file, decode one stream of it.
// Private to gpu/media.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include "common/result.hpp"
#include "gpu/media/media.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace troupe::media::av {

/// Beyond this many pixels a picture is refused: a few bytes can claim any size.
inline constexpr std::int64_t pixels_max = 64LL << 20;

struct input_closer {
  void operator()(AVFormatContext* p) const {
    AVIOContext* file = p->pb;
    avformat_close_input(&p);
    avio_closep(&file);
  }
};
struct output_closer {
  void operator()(AVFormatContext* p) const {
    if (p->pb != nullptr)
      avio_closep(&p->pb);
    avformat_free_context(p);
  }
};
struct codec_closer {
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
};
struct frame_closer {
  void operator()(AVFrame* p) const { av_frame_free(&p); }
};
struct packet_closer {
  void operator()(AVPacket* p) const { av_packet_free(&p); }
};
struct scaler_closer {
  void operator()(SwsContext* p) const { sws_freeContext(p); }
};

using input_ptr = std::unique_ptr<AVFormatContext, input_closer>;
using output_ptr = std::unique_ptr<AVFormatContext, output_closer>;
using codec_ptr = std::unique_ptr<AVCodecContext, codec_closer>;
using frame_ptr = std::unique_ptr<AVFrame, frame_closer>;
using packet_ptr = std::unique_ptr<AVPacket, packet_closer>;
using scaler_ptr = std::unique_ptr<SwsContext, scaler_closer>;

/// FFmpeg writes to stderr by itself, with file names: what matters comes back as an error.
void quieten();

frame_ptr make_frame();
/// A picture with room, aligned and padded as swscale and filters need it: they read and write up to some bytes beyond
/// a plane (AVFrame.data in libavutil/frame.h), which memory of ours does not have. Errors: `machine`.
result<frame_ptr> make_picture(int width, int height, AVPixelFormat format);
/// A copy in such memory, RGB24. The picture is whole. Errors: `machine`.
result<frame_ptr> padded_copy(const frame& picture);
/// Takes the rows of an RGB24 picture out.
void copy_rows(const AVFrame& from, frame& to);
packet_ptr make_packet();

/// "<what>: <what FFmpeg says>" under the code `media`, or `machine` when the disk or the memory failed.
failure error(const std::string& what, int averror);

/// Opens a local media file. Only self-contained formats are recognised: a playlist or a concat script among the
/// uploads would otherwise make FFmpeg read other files.
result<input_ptr> open_input(const std::filesystem::path& path);

/// Decodes one stream of one file, packet by packet. Damaged packets are skipped; a stream without a single good one is
/// an error.
class stream_decoder {
public:
  static result<stream_decoder> open(const std::filesystem::path& path, AVMediaType type, unsigned threads);

  /// False at the end.
  result<bool> next(AVFrame* out);
  const AVStream& stream() const { return *input_->streams[index_]; }
  const AVFormatContext& input() const { return *input_; }
  const AVCodecContext& codec() const { return *codec_; }

private:
  result<void> feed();

  input_ptr input_;
  codec_ptr codec_;
  packet_ptr packet_ = make_packet();
  int index_ = -1;
  bool at_end_ = false;
  std::int64_t decoded_ = 0;
  std::int64_t damaged_ = 0;
};

/// A scaler that gives the same bytes on every machine.
result<scaler_ptr> make_scaler(int from_width, int from_height, AVPixelFormat from, AVColorSpace space,
                               AVColorRange range, int to_width, int to_height, AVPixelFormat to);

} // namespace troupe::media::av
