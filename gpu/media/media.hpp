#pragma once

// Video, sound and pictures in and out of files, by FFmpeg's libraries. Only the node links this: the head opens no
// media file. Errors are `media` (the input's fault) or `machine` (disk or memory: elsewhere, or later, it may work),
// with a message for the job's owner (no paths).

#include "common/result.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::media {

/// One picture, packed RGB, 8 bits a channel, rows without padding.
struct frame {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
};

struct rational {
  int num = 24;
  int den = 1;
  double value() const { return static_cast<double>(num) / den; }
};

struct video_info {
  int width = 0;
  int height = 0;
  rational frame_rate;
  std::int64_t frames = 0; // counted if the container says, else estimated
  double duration_s = 0;
  bool has_audio = false;
  std::string codec;       // FFmpeg's name: "h264"
  std::string audio_codec; // "aac"; empty without sound
};

result<video_info> probe(const std::filesystem::path& path);

/// Decodes a video frame by frame.
class video_reader {
public:
  static result<std::unique_ptr<video_reader>> open(const std::filesystem::path& path, unsigned threads = 1);
  virtual ~video_reader() = default;
  virtual const video_info& info() const = 0;
  /// False at the end.
  virtual result<bool> next(frame& out) = 0;
};

struct video_options {
  int width = 0;  // even
  int height = 0; // even
  rational frame_rate;
  int crf = 20; // x264's constant rate factor, 0 … 51
  std::string preset = "veryfast";
  unsigned threads = 1;                  // the same input, options and threads give the same bytes
  std::string watermark;                 // drawn in the lower right corner when not empty
  std::filesystem::path copy_audio_from; // when set, that file's audio stream is copied in
};

/// Encodes H.264 in MP4 (yuv420p, faststart, bit-exact: no dates, no encoder's name).
class video_writer {
public:
  static result<std::unique_ptr<video_writer>> open(const std::filesystem::path& path, const video_options& options);
  virtual ~video_writer() = default;
  virtual result<void> write(const frame& picture) = 0;
  /// Without it the file is not valid.
  virtual result<void> finish() = 0;
};

/// Mono samples in -1 … 1.
struct sound {
  int sample_rate = 16'000;
  std::vector<float> samples;
  double duration_s() const { return static_cast<double>(samples.size()) / sample_rate; }
};

/// How long the first audio stream plays, from its packets: exact where a header would guess.
result<double> sound_duration(const std::filesystem::path& path);
/// Decodes the first audio stream of any file to mono at `sample_rate` Hz. At most `seconds_max` seconds are accepted.
result<sound> read_sound(const std::filesystem::path& path, int sample_rate, double seconds_max = 4 * 3600.0);
/// Writes 16-bit PCM WAV.
result<void> write_wav(const std::filesystem::path& path, const sound& what);

result<frame> read_image(const std::filesystem::path& path);
result<void> write_png(const std::filesystem::path& path, const frame& picture);
/// A JPEG at most `width_max` wide.
result<std::string> encode_jpeg(const frame& picture, int width_max, int quality = 70);
/// Lanczos, to exactly the size given.
result<frame> resize(const frame& picture, int width, int height);

} // namespace troupe::media
