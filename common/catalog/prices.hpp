#pragma once

// What operations of the studio family cost, in whole credits, computed in integers and rounded up once. The default
// tables are those of the studio API's documentation ("Credit Costs"); where its example column disagrees, the formula
// wins. Quotes, holds and charges all ask here. A job keeps the prices it was accepted with in its plan.
//
// Amounts out are micro-credits and, but for metered ones, whole credits. Quantities are clamped to 0 … 10^9, so
// nothing overflows.

#include "common/money.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::catalog {

/// cost = base + frames × per_frame + steps × per_step.
struct video_formula {
  micro_credits base = 0;
  micro_credits per_frame = 0;
  micro_credits per_step = 0;
};

/// So many credits for each stretch of time: for each one begun, or for the time as it is, rounded up once.
struct timed_price {
  micro_credits amount = 0;
  std::int64_t stretch_ms = 1'000;
  bool begun = false;
  micro_credits least = 0;
};

/// Metered: exact in micro-credits. Tokens are priced by the million, images by the million of pixels.
struct token_prices {
  micro_credits input_per_million = 0, output_per_million = 0;
};

/// Everything that has a price, by the names that cluster.conf knows it by.
struct price_list {
  template <class T>
  using by_name = std::map<std::string, T, std::less<>>;
  by_name<video_formula> video;           // by model
  by_name<micro_credits> image;           // an image, by model
  by_name<micro_credits> flat;            // subtitles, subtitle_translation, edit, tool, video_to_video
  by_name<timed_price> timed;             // upscale, video_to_video, audio, speech
  by_name<token_prices> tokens;           // by language model
  by_name<micro_credits> image_megapixel; // by image model: metered by size
  micro_credits merge_clip = 0, merge_least = 0;
};
price_list default_prices();

/// What is in force. `use_prices` is called once, before anybody asks for a price.
const price_list& prices();
void use_prices(price_list list);

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

/// The prices that depend on nothing.
micro_credits subtitles_price();
micro_credits subtitle_translation_price();
/// Trim, speed, crop, resize, text overlay, subtitle burn, add-audio, speech into a video, brand kit.
micro_credits edit_price();
/// Remove background, face swap, extract frames, trim (tools), GIF, watermark.
micro_credits tool_price();

/// The price of a flat operation by name ("subtitles", "subtitle-translation", "trim", "remove-background", …); nothing
/// when there is no flat price of that name.
std::optional<micro_credits> flat_price(std::string_view operation);

} // namespace troupe::catalog
