// concat and mix: several inputs into one film.

#include "gpu/engines/ffmpeg/edits.hpp"
#include "gpu/engines/ffmpeg/filters.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::engines::edits {
namespace {

constexpr std::size_t clips_max = 20;

struct part {
  clip source;
  std::int64_t frames = 0;
};

std::int64_t samples_of(std::int64_t frames, const media::rational& rate) {
  return std::llround(static_cast<double>(frames) / rate.value() * sound_rate);
}

boost::system::result<std::vector<part>, stage_failure> open_parts(const stage_request& request) {
  const std::size_t count = inputs_of(request, "videos").size();
  if (count == 0 || count > clips_max)
    return stage_failure(fault::bad_input, "between 1 and 20 videos can be joined, not " + std::to_string(count));
  std::vector<part> parts;
  for (std::size_t i = 0; i < count; ++i) {
    auto opened = open_clip(request, "videos", i);
    if (!opened)
      return opened.error();
    const auto& rate = i == 0 ? opened->info.frame_rate : parts[0].source.info.frame_rate;
    const auto frames = std::llround(opened->info.duration_s * rate.value());
    parts.push_back({std::move(*opened), std::max<std::int64_t>(1, frames)});
  }
  return parts;
}

/// A clip in the middle gives a fade at each end, so none may take more than half of the shortest.
std::int64_t fade_frames(const std::vector<part>& parts, double seconds, const media::rational& rate) {
  auto frames = static_cast<std::int64_t>(std::llround(seconds * rate.value()));
  for (const auto& one : parts)
    frames = std::min(frames, one.frames / 2);
  return parts.size() < 2 ? 0 : frames;
}

/// Each clip as [c0], [c1], … in the first one's size and rate and exactly as long as counted, and its sound, or
/// silence, as [s0], [s1], … just as long.
std::string unify(const std::vector<part>& parts, bool sound) {
  const auto& first = parts[0].source.info;
  std::string made;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string n = std::to_string(i);
    made += chain("v" + n,
                  {constant_rate(first.frame_rate), picture_format(first.width, first.height),
                   "tpad=stop=-1:stop_mode=clone", "trim=end_frame=" + std::to_string(parts[i].frames)},
                  "c" + n);
    if (!sound)
      continue;
    const std::string end = "atrim=end_sample=" + std::to_string(samples_of(parts[i].frames, first.frame_rate));
    if (parts[i].source.info.has_audio)
      made += chain("a" + n, {sound_format(), "apad", end}, "s" + n);
    else
      made += chain("", {"anullsrc=r=" + std::to_string(sound_rate) + ":cl=stereo", sound_format(), end}, "s" + n);
  }
  return made;
}

std::string fades(const std::vector<part>& parts, std::int64_t fade, bool sound) {
  const auto& rate = parts[0].source.info.frame_rate;
  std::string made;
  std::string video = "c0";
  std::string audio = "s0";
  std::int64_t length = parts[0].frames;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::string n = std::to_string(i);
    const double offset = static_cast<double>(length - fade) / rate.value();
    made += "[" + video + "]" +
            chain("c" + n,
                  {"xfade=transition=fade:duration=" + decimal(static_cast<double>(fade) / rate.value()) +
                   ":offset=" + decimal(offset)},
                  "x" + n);
    if (sound)
      made += "[" + audio + "]" + chain("s" + n, {"acrossfade=ns=" + std::to_string(samples_of(fade, rate))}, "y" + n);
    video = "x" + n;
    audio = "y" + n;
    length += parts[i].frames - fade;
  }
  return made + chain(video, {"format=yuv420p"}, "video") + (sound ? chain(audio, {sound_format()}, "audio") : "");
}

std::string cuts(const std::vector<part>& parts, bool sound) {
  std::string made;
  for (std::size_t i = 0; i < parts.size(); ++i)
    made += "[c" + std::to_string(i) + "]" + (sound ? "[s" + std::to_string(i) + "]" : "");
  made += "concat=n=" + std::to_string(parts.size()) + ":v=1:a=" + (sound ? "1[j][k];" : "0[j];");
  return made + chain("j", {"format=yuv420p"}, "video") + (sound ? chain("k", {sound_format()}, "audio") : "");
}

} // namespace

plan concat(const stage_request& request) {
  parameter_reader read(request.params);
  const double crossfade = read.number("crossfade_s", 0.5, 0, 5);
  if (read.failure())
    return *read.failure();
  auto parts = open_parts(request);
  if (!parts)
    return parts.error();
  const auto& rate = (*parts)[0].source.info.frame_rate;
  const bool sound = std::any_of(parts->begin(), parts->end(), [](const part& p) { return p.source.info.has_audio; });
  const std::int64_t fade = fade_frames(*parts, crossfade, rate);
  media::composition made = of_clip((*parts)[0].source, request.threads);
  made.inputs.clear();
  std::int64_t frames = fade;
  for (const auto& one : *parts) {
    made.inputs.push_back(one.source.path);
    frames += one.frames - fade;
  }
  made.copy_audio = -1;
  made.audio = sound;
  made.duration_s = static_cast<double>(frames) / rate.value();
  made.filters = unify(*parts, sound) + (fade > 0 ? fades(*parts, fade, sound) : cuts(*parts, sound));
  return made;
}

plan mix(const stage_request& request) {
  parameter_reader read(request.params);
  const double offset = read.number("offset_seconds", 0, 0, 3600);
  const double volume = read.number("volume", 1, 0, 4);
  const bool extend = read.flag("extend", true);
  if (read.failure())
    return *read.failure();
  auto source = open_clip(request, "video");
  if (!source)
    return source.error();
  const auto sounds = inputs_of(request, "audio");
  if (sounds.empty())
    return stage_failure(fault::bad_input, "the input `audio` is missing");
  auto length = media::sound_duration(sounds[0]->path);
  if (!length)
    return to_stage_failure(length.error());

  const auto& info = source->info;
  const auto own_frames = std::max<std::int64_t>(1, std::llround(info.duration_s * info.frame_rate.value()));
  const auto sound_frames = static_cast<std::int64_t>(std::ceil((offset + *length) * info.frame_rate.value() - 1e-6));
  const std::int64_t frames = extend ? std::max(own_frames, sound_frames) : own_frames;
  media::composition made = of_clip(*source, request.threads);
  made.inputs.push_back(sounds[0]->path);
  made.copy_audio = -1;
  made.audio = true;
  made.duration_s = static_cast<double>(frames) / info.frame_rate.value();
  // Encoding again costs time and quality, so the pictures are handed through unless some must be added.
  made.video = frames > own_frames || info.codec != "h264";
  made.filters.clear();
  if (made.video)
    made.filters += chain("v0",
                          {constant_rate(info.frame_rate), picture_format(info.width, info.height),
                           "tpad=stop=-1:stop_mode=clone", "trim=end_frame=" + std::to_string(frames)},
                          "video");
  const std::string end = "atrim=end_sample=" + std::to_string(samples_of(frames, info.frame_rate));
  const std::string delay = offset > 0 ? "adelay=delays=" + std::to_string(std::llround(offset * 1000)) + ":all=1" : "";
  made.filters += chain("a1", {sound_format(), "volume=" + decimal(volume), delay, "apad", end},
                        info.has_audio ? "added" : "audio");
  if (info.has_audio)
    made.filters += chain("a0", {sound_format(), "apad", end}, "own") + "[own]" +
                    chain("added", {"amix=inputs=2:duration=first:normalize=0", sound_format()}, "audio");
  return made;
}

} // namespace troupe::engines::edits
