// trim and watermark: one film into one film.

#include "gpu/engines/ffmpeg/edits.hpp"

#include "gpu/engines/ffmpeg/filters.hpp"

#include <algorithm>

namespace troupe::engines::edits {

plan trim(const stage_request& request) {
  parameter_reader read(request.params);
  const double start = read.number("start_seconds", 0, 0, 360'000);
  const double end = read.number("end_seconds", 360'000, 0, 360'000);
  if (!(end > start))
    read.wrong("end_seconds", "greater than `start_seconds`");
  if (read.failure())
    return *read.failure();
  auto source = open_clip(request, "video");
  if (!source)
    return source.error();
  const auto& info = source->info;
  if (start >= info.duration_s)
    return stage_failure(fault::bad_input,
                         "`start_seconds` lies behind the video's end at " + decimal(info.duration_s) + " s");
  media::composition made = of_clip(*source, request.threads);
  const double until = std::min(end, info.duration_s);
  const std::string range = "start=" + decimal(start) + ":end=" + decimal(until);
  made.copy_audio = -1;
  made.audio = info.has_audio;
  made.duration_s = until - start;
  made.filters = chain("v0",
                       {constant_rate(info.frame_rate), "trim=" + range, "setpts=PTS-STARTPTS",
                        constant_rate(info.frame_rate), picture_format(info.width, info.height)},
                       "video");
  if (info.has_audio)
    made.filters += chain("a0", {sound_format(), "atrim=" + range, "asetpts=PTS-STARTPTS"}, "audio");
  return made;
}

plan watermark(const stage_request& request) {
  parameter_reader read(request.params);
  const std::string text = read.text("text", "", 800);
  const std::string position = read.choice("position", {"bottom-right", "bottom-left", "top-left", "top-right"});
  if (text.empty())
    read.wrong("text", "a text of 1 to 200 characters");
  if (read.failure())
    return *read.failure();
  auto source = open_clip(request, "video");
  if (!source)
    return source.error();
  const auto& info = source->info;
  const bool left = position.ends_with("left");
  const auto where = position.starts_with("top") ? (left ? media::corner::top_left : media::corner::top_right)
                                                 : (left ? media::corner::bottom_left : media::corner::bottom_right);
  media::composition made = of_clip(*source, request.threads);
  made.filters += chain("v0",
                        {constant_rate(info.frame_rate), picture_format(info.width, info.height),
                         media::watermark_filter(text, where, info.width, info.height)},
                        "video");
  return made;
}

} // namespace troupe::engines::edits
