#pragma once

// One film out of several files, through a graph of FFmpeg's filters: cut, join, mix, draw, subtitle. In this process,
// frame by frame, so that it can be stopped at any frame.

#include "gpu/media/media.hpp"

#include <functional>
#include <string>
#include <vector>

namespace troupe::media {

/// One subtitle: when it is shown, and its text (UTF-8, lines parted by '\n').
struct cue {
  double start_s = 0;
  double end_s = 0;
  std::string text;
};

/// What a film is made of.
struct composition {
  std::vector<std::filesystem::path> inputs;
  /// Filters over [v0], [a0], [v1], … (the first video and audio stream of each input; name only those that exist and
  /// each once) that end in [video] and, if there is sound to make, [audio]. Empty: nothing is filtered.
  std::string filters;
  bool video = true;            // the filters end in [video]; else the video stream of input 0 is handed through
  bool audio = false;           // the filters end in [audio]
  int copy_audio = -1;          // the input whose sound is handed through, where it has one; -1: none
  std::vector<cue> subtitles;   // a soft track when not empty, in order
  std::string language = "eng"; // of the subtitles, ISO 639-2
  video_options encoding;       // of [video]; its size and rate are those that the filters produce
  double duration_s = 0;        // expected, for progress
  /// Told how far it is, 0 … 1, at least once per frame; false stops with `cancelled`.
  std::function<bool(double)> progress;
};

/// Writes the film as bit-exact MP4.
result<void> compose(const std::filesystem::path& path, const composition& what);

/// Text as a filter option's value, whatever it holds: for paths and people's words inside a filter description.
std::string filter_value(const std::string& text);

/// Where a watermark stands.
enum class corner { top_left, top_right, bottom_left, bottom_right };
/// The filter that draws a watermark into pictures of this size.
std::string watermark_filter(const std::string& text, corner where, int width, int height);
/// The folder of the fonts that text is drawn with; empty when they are missing.
std::filesystem::path fonts_folder();

/// Reads SubRip subtitles: tolerant of line ends, byte order marks and missing numbers, bounded in size, UTF-8 only.
/// Markup (<i>, {\an8}) is removed. Errors: `media`.
result<std::vector<cue>> parse_subrip(const std::string& text);
/// Cues as SubRip.
std::string to_subrip(const std::vector<cue>& cues);

} // namespace troupe::media
