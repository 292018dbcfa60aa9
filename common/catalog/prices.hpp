#pragma once

// What operations of the studio family cost, in whole credits, computed in integers and rounded up once. The tables are
// those of the studio API's documentation ("Credit Costs"); where its example column disagrees, the formula wins.
//
// Amounts out are micro-credits and always whole credits. Quantities are clamped to 0 … 10^9, so nothing overflows.

#include "common/money.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::catalog {

/// cost = base + frames × per_frame + steps × per_step.
struct video_formula {
  micro_credits base = 0;
  micro_credits per_frame = 0;
  micro_credits per_step = 0;
};

/// ceil(base + frames × per_frame + steps × per_step), rounded up to a whole credit once.
micro_credits video_price(const video_formula& formula, std::int64_t frames, std::int64_t steps);

/// Joining clips and exporting a project: max(3, 2 × clips).
micro_credits merge_price(std::int64_t clips);

/// max(2, 2 × ceil(s / 10)).
micro_credits upscale_price(std::int64_t duration_ms);

/// max(3, 3 × ceil(s / 10)).
micro_credits video_to_video_price(std::int64_t duration_ms);

/// Music and effects: ceil(8 × s / 30).
micro_credits audio_price(std::int64_t duration_ms);

/// Speech: ceil(6 × s / 60).
micro_credits speech_price(std::int64_t duration_ms);

/// How long a text will take to say, known before it is said: 2.5 words a second at speed 1, divided by the speed.
/// Words are separated by white space; one of more than 12 characters counts once for each 12 begun, so that a text
/// without spaces is not free. `speed_milli` is the speed in thousandths (1000: normal), clamped to 100 … 10,000.
std::int64_t estimated_speech_ms(std::string_view text, std::int64_t speed_milli = 1000);

/// How long a clip is, in milliseconds rounded up. `frame_rate` below 1 counts as 1.
std::int64_t clip_ms(std::int64_t frames, std::int64_t frame_rate);

/// The operations with a price that depends on nothing, by their stable names.
inline constexpr micro_credits subtitles_price = credits(5);
inline constexpr micro_credits subtitle_translation_price = credits(5);
/// Trim, speed, crop, resize, text overlay, subtitle burn, add-audio, speech into a video, brand kit.
inline constexpr micro_credits edit_price = credits(3);
/// Remove background, face swap, extract frames, trim (tools), GIF, watermark.
inline constexpr micro_credits tool_price = credits(1);

/// The price of a flat operation by name ("subtitles", "subtitle-translation", "trim", "remove-background", …); nothing
/// when there is no flat price of that name.
std::optional<micro_credits> flat_price(std::string_view operation);

} // namespace troupe::catalog
