#pragma once

// Words to subtitles that can be read: two lines at most, shown long enough, broken where speech or sentences pause.

#include "gpu/engines/transcribe/words.hpp"
#include "gpu/media/compose.hpp"

#include <span>
#include <string>
#include <vector>

namespace troupe::engines {

using media::cue;

struct cue_limits {
  std::size_t line_bytes_max = 42;
  double least_s = 1;
  double most_s = 7;
  double pause_s = 0.8; // a silence this long ends a cue
};

/// Cues of one or two lines in order of time, never overlapping, none ending after `length_s`. A cue is shorter than
/// `least_s` only where the next one or the end is nearer.
std::vector<cue> cues_of(std::span<const word> words, double length_s, const cue_limits& limits = {});

/// `text` on one line, or on two that are as equal as can be, the break after a mark where there is one nearby.
std::string two_lines(const std::string& text, std::size_t line_bytes_max);

} // namespace troupe::engines
