#include "common/catalog/prices.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace troupe::catalog {

namespace {

constexpr std::int64_t quantity_max = 1'000'000'000;

constexpr std::int64_t clamp(std::int64_t quantity) { return std::clamp<std::int64_t>(quantity, 0, quantity_max); }

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Continuation bytes of UTF-8 begin with the bits 10.
constexpr bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

constexpr std::int64_t long_word = 12;

constexpr std::array flat_prices{
    std::pair{std::string_view{"subtitles"}, subtitles_price},
    std::pair{std::string_view{"subtitle-translation"}, subtitle_translation_price},
    std::pair{std::string_view{"trim"}, edit_price},
    std::pair{std::string_view{"speed"}, edit_price},
    std::pair{std::string_view{"crop"}, edit_price},
    std::pair{std::string_view{"resize"}, edit_price},
    std::pair{std::string_view{"text-overlay"}, edit_price},
    std::pair{std::string_view{"subtitle-burn"}, edit_price},
    std::pair{std::string_view{"add-audio"}, edit_price},
    std::pair{std::string_view{"add-speech"}, edit_price},
    std::pair{std::string_view{"brand-kit"}, edit_price},
    std::pair{std::string_view{"remove-background"}, tool_price},
    std::pair{std::string_view{"face-swap"}, tool_price},
    std::pair{std::string_view{"extract-frames"}, tool_price},
    std::pair{std::string_view{"trim-video"}, tool_price},
    std::pair{std::string_view{"video-to-gif"}, tool_price},
    std::pair{std::string_view{"add-watermark"}, tool_price},
    std::pair{std::string_view{"v2v"}, credits(3)},
};

} // namespace

micro_credits video_price(const video_formula& formula, std::int64_t frames, std::int64_t steps) {
  return round_up_to_credit(formula.base + clamp(frames) * formula.per_frame + clamp(steps) * formula.per_step);
}

micro_credits merge_price(std::int64_t clips) { return credits(std::max<std::int64_t>(3, 2 * clamp(clips))); }

micro_credits upscale_price(std::int64_t duration_ms) {
  return credits(std::max<std::int64_t>(2, 2 * ceil_div(clamp(duration_ms), 10'000)));
}

micro_credits video_to_video_price(std::int64_t duration_ms) {
  return credits(std::max<std::int64_t>(3, 3 * ceil_div(clamp(duration_ms), 10'000)));
}

micro_credits audio_price(std::int64_t duration_ms) { return credits(ceil_div(8 * clamp(duration_ms), 30'000)); }

micro_credits speech_price(std::int64_t duration_ms) { return credits(ceil_div(6 * clamp(duration_ms), 60'000)); }

std::int64_t estimated_speech_ms(std::string_view text, std::int64_t speed_milli) {
  std::int64_t words = 0, characters = 0;
  auto end_word = [&] {
    words += ceil_div(characters, long_word);
    characters = 0;
  };
  for (char c : text) {
    if (is_space(c))
      end_word();
    else if (begins_character(c))
      ++characters;
  }
  end_word();
  return ceil_div(clamp(words) * 400 * 1000, std::clamp<std::int64_t>(speed_milli, 100, 10'000));
}

std::int64_t clip_ms(std::int64_t frames, std::int64_t frame_rate) {
  return ceil_div(clamp(frames) * 1000, std::max<std::int64_t>(1, frame_rate));
}

std::optional<micro_credits> flat_price(std::string_view operation) {
  for (const auto& [name, price] : flat_prices)
    if (name == operation)
      return price;
  return std::nullopt;
}

} // namespace troupe::catalog
