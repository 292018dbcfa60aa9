#pragma once

// Pieces of filter descriptions that several edits use. Private to the engine.

#include "gpu/engines/parameters.hpp"
#include "gpu/media/compose.hpp"

#include <filesystem>
#include <string>

namespace troupe::engines::edits {

inline constexpr int sound_rate = 48'000;

/// A video input with what is known of it.
struct clip {
  std::filesystem::path path;
  media::video_info info;
};

/// Opens input `index` of `port`; an input that is missing or no video is bad input.
boost::system::result<clip, stage_failure> open_clip(const stage_request& request, const std::string& port,
                                                     std::size_t index = 0);

/// A number as a filter reads it, whatever the locale.
std::string decimal(double value);
/// Pictures in the form that is encoded: this size (made even), yuv420p, BT.709.
std::string picture_format(int width, int height);
/// Sound in the form that is encoded, from time 0 and without gaps.
std::string sound_format();
/// Frames at the clip's own, constant rate, from time 0.
std::string constant_rate(const media::rational& rate);
/// A composition of `clip` alone; its sound is handed through when MP4 takes it, else encoded again.
media::composition of_clip(const clip& from, unsigned threads);

/// A description made of chains, each "[in]filter,filter[out]".
std::string chain(const std::string& input, std::initializer_list<std::string> filters, const std::string& output);

} // namespace troupe::engines::edits
