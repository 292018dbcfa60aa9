#pragma once

// Text made ready to be spoken: checked, freed of all that a synthesiser might take for a command, cut into phrases.

#include "common/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::engines {

/// What is said in one breath, and the silence after it at normal speed.
struct phrase {
  std::string
      text; // letters, digits, spaces and .,!?;:'-% in ASCII; at most phrase_bytes_max, words at most word_bytes_max
  double pause_s = 0;

  friend bool operator==(const phrase&, const phrase&) = default;
};

inline constexpr std::size_t phrase_bytes_max = 400;
inline constexpr std::size_t word_bytes_max = 32;
inline constexpr double sentence_pause_s = 0.3;
inline constexpr double paragraph_pause_s = 0.6;
inline constexpr double breath_pause_s = 0.1; // where a sentence was too long for one phrase

/// Cuts `text` (UTF-8) into phrases. Symbols become words (& and, £5 five pounds) or spaces (< [ *); Latin letters lose
/// their accents; signs of other scripts and pictures are left out.
/// Errors: `bad_text` (not UTF-8, control characters, nothing that can be spoken in English).
result<std::vector<phrase>> spoken_phrases(std::string_view text);

} // namespace troupe::engines
