#pragma once

// When each word of a known text is said: pocketsphinx is given a grammar that is that text and nothing else.

#include "common/result.hpp"
#include "gpu/engines/transcribe/words.hpp"

#include <memory>
#include <span>
#include <vector>

namespace troupe::engines {

/// Not thread-safe: one to a run.
class aligner {
public:
  /// True when the acoustic model and the dictionary are installed.
  static bool installed();
  /// Errors: `unavailable`.
  static result<std::unique_ptr<aligner>> open();

  virtual ~aligner() = default;
  /// Sets the times of `words`, seconds from the start of `samples` (16 kHz): monotone, within it. Words that could not
  /// be found share the time between their neighbours by their lengths.
  virtual void align(std::vector<word>& words, std::span<const float> samples) = 0;
};

/// Gives times to the words of [`from`, `to`) within `start_s` … `end_s`, by their lengths.
void share_out(std::vector<word>& words, std::size_t from, std::size_t to, double start_s, double end_s);

} // namespace troupe::engines
