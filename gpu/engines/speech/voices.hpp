#pragma once

// The voices: two of flite, two of espeak-ng. Each says phrases one after another in a child process of its own.

#include "common/result.hpp"
#include "gpu/engines/speech/spoken_text.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::engines {

struct voice {
  std::string_view name;    // "en_gb_female"
  std::string_view library; // "flite" or "espeak"
  std::string_view speaker; // as the library calls it
  int pitch = 50;           // espeak's, 0 … 99
};

inline constexpr voice voices[] = {
    {"en_gb_male", "espeak", "en-gb-x-rp", 40},
    {"en_gb_female", "espeak", "en-gb-x-rp+f3"},
    {"en_us_male", "flite", "rms"},
    {"en_us_female", "flite", "slt"},
};

/// Mono samples of one phrase, as the library made them.
struct spoken {
  int sample_rate = 0;
  std::vector<std::int16_t> samples;
};

/// Says each phrase at `speed` (0.5 … 2, 1 is normal); `said` hears how many are done. The same words give the same
/// samples. Errors: `cancelled` (`stop` was true), `timeout`, `crashed`, `child`.
result<std::vector<spoken>> say(const voice& who, std::span<const phrase> phrases, double speed,
                                const std::function<void(std::size_t)>& said, const std::function<bool()>& stop);

} // namespace troupe::engines
