#pragma once

// The way into an MP4 file: the muxer, the encoders before it, and streams handed through as they are. Private to
// gpu/media.

#include "gpu/media/av.hpp"
#include "gpu/media/media.hpp"

#include <optional>

namespace troupe::media::av {

struct bsf_closer {
  void operator()(AVBSFContext* p) const { av_bsf_free(&p); }
};
using bsf_ptr = std::unique_ptr<AVBSFContext, bsf_closer>;

/// An MP4 being written. Streams are added, then start(), then packets, then finish().
class mp4_file {
public:
  static result<mp4_file> create(const std::filesystem::path& path);

  /// The new stream's index.
  int add(const AVCodecParameters& parameters, AVRational time_base);
  AVStream& stream(int index) { return *output_->streams[index]; }
  result<void> start();
  /// Takes the packet's content. `time_base` is the packet's.
  result<void> write(AVPacket* packet, int index, AVRational time_base);
  result<void> finish();

private:
  output_ptr output_;
};

/// H.264 by x264; the same pictures, options and threads give the same bytes whatever the processor.
class video_encoder {
public:
  static result<video_encoder> open(const video_options& options, mp4_file& into);
  /// Null ends the stream. `picture` is yuv420p of the size given; its time is set here: one after the other.
  result<void> encode(AVFrame* picture, mp4_file& into);
  double seconds() const { return static_cast<double>(next_) * av_q2d(codec_->time_base); }

private:
  result<void> drain(mp4_file& into);
  result<void> filter(AVPacket* packet, mp4_file& into);

  codec_ptr codec_;
  bsf_ptr bsf_;
  packet_ptr packet_ = make_packet();
  int stream_ = 0;
  std::int64_t next_ = 0;
};

/// AAC, stereo, 48 kHz.
class audio_encoder {
public:
  static constexpr int sample_rate = 48'000;
  static constexpr int frame_samples = 1024;

  static result<audio_encoder> open(mp4_file& into);
  /// Null ends the stream. `samples` is planar float stereo, frame_samples long but for the last.
  result<void> encode(AVFrame* samples, mp4_file& into);
  double seconds() const { return static_cast<double>(next_) / sample_rate; }

private:
  codec_ptr codec_;
  packet_ptr packet_ = make_packet();
  int stream_ = 0;
  std::int64_t next_ = 0;
};

/// Hands one stream of a file through without decoding it.
class stream_copier {
public:
  /// Nothing when the file has no such stream; an error when MP4 cannot hold it.
  static result<std::optional<stream_copier>> open(const std::filesystem::path& path, AVMediaType type, mp4_file& into);
  /// Copies what begins before `seconds`.
  result<void> copy_until(double seconds, mp4_file& into);

private:
  input_ptr input_;
  packet_ptr packet_ = make_packet();
  int from_ = 0;
  int stream_ = 0;
  bool pending_ = false;
  bool at_end_ = false;
};

} // namespace troupe::media::av
