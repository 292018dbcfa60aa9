#pragma once

// Words to subtitles that can be read: two lines at most, shown long enough, broken where speech or sentences pause.

#include "gpu/engines/transcribe/words.hpp"

#include <span>
#include <string>
#include <vector>

namespace troupe::engines {

struct cue {
  double start_s = 0;
  double end_s = 0;
  std::string text; // one or two lines

  friend bool operator==(const cue&, const cue&) = default;
};

struct cue_limits {
  std::size_t line_bytes_max = 42;
  double least_s = 1;
  double most_s = 7;
  double pause_s = 0.8; // a silence this long ends a cue
};

/// Cues in order of time, never overlapping, none ending after `length_s`. A cue is shorter than `least_s` only where
/// the next one or the end is nearer.
std::vector<cue> cues_of(std::span<const word> words, double length_s, const cue_limits& limits = {});

/// `text` on one line, or on two that are as equal as can be, the break after a mark where there is one nearby.
std::string two_lines(const std::string& text, std::size_t line_bytes_max);

/// SubRip: numbered from 1, times as 00:00:01,500. No cues: empty.
std::string subrip(std::span<const cue> cues);

} // namespace troupe::engines
