#include "common/catalog/prices.hpp"

#include "common/catalog/models.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace troupe::catalog {

namespace {

constexpr std::int64_t quantity_max = 1'000'000'000;

constexpr std::int64_t clamp(std::int64_t quantity) { return std::clamp<std::int64_t>(quantity, 0, quantity_max); }

// Neither is negative; a + b may be more than there is room for.
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Continuation bytes of UTF-8 begin with the bits 10.
constexpr bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

constexpr std::int64_t long_word = 12;

/// Operation → the row of the price list that it counts as.
constexpr std::array flat_operations{
    std::pair{std::string_view{"subtitles"}, "subtitles"},
    std::pair{std::string_view{"subtitle-translation"}, "subtitle_translation"},
    std::pair{std::string_view{"trim"}, "edit"},
    std::pair{std::string_view{"speed"}, "edit"},
    std::pair{std::string_view{"crop"}, "edit"},
    std::pair{std::string_view{"resize"}, "edit"},
    std::pair{std::string_view{"text-overlay"}, "edit"},
    std::pair{std::string_view{"subtitle-burn"}, "edit"},
    std::pair{std::string_view{"add-audio"}, "edit"},
    std::pair{std::string_view{"add-speech"}, "edit"},
    std::pair{std::string_view{"brand-kit"}, "edit"},
    std::pair{std::string_view{"remove-background"}, "tool"},
    std::pair{std::string_view{"face-swap"}, "tool"},
    std::pair{std::string_view{"extract-frames"}, "tool"},
    std::pair{std::string_view{"trim-video"}, "tool"},
    std::pair{std::string_view{"video-to-gif"}, "tool"},
    std::pair{std::string_view{"add-watermark"}, "tool"},
    std::pair{std::string_view{"v2v"}, "video_to_video"},
};

price_list& in_force() {
  static price_list list = default_prices();
  return list;
}

micro_credits timed(const char* operation, std::int64_t duration_ms) {
  const auto& price = prices().timed.find(operation)->second;
  auto ms = clamp(duration_ms);
  auto amount =
      price.begun ? price.amount * ceil_div(ms, price.stretch_ms) : ceil_div(price.amount * ms, price.stretch_ms);
  return std::max(price.least, round_up_to_credit(amount));
}

micro_credits flat(const char* row) { return prices().flat.find(row)->second; }

} // namespace

micro_credits video_price(const video_formula& formula, std::int64_t frames, std::int64_t steps) {
  return round_up_to_credit(formula.base + clamp(frames) * formula.per_frame + clamp(steps) * formula.per_step);
}

price_list default_prices() {
  price_list out;
  for (const auto& model : video_models())
    out.video.emplace(model.id, model.price);
  for (const auto& model : image_models())
    out.image.emplace(model.id, model.price);
  out.flat = {{"subtitles", credits(5)},
              {"subtitle_translation", credits(5)},
              {"edit", credits(3)},
              {"tool", credits(1)},
              {"video_to_video", credits(3)}};
  out.timed = {{"upscale", {credits(2), 10'000, true, credits(2)}},
               {"video_to_video", {credits(3), 10'000, true, credits(3)}},
               {"audio", {credits(8), 30'000, false, 0}},
               {"speech", {credits(6), 60'000, false, 0}}};
  out.merge_clip = credits(2);
  out.merge_least = credits(3);
  return out;
}

const price_list& prices() { return in_force(); }

void use_prices(price_list list) { in_force() = std::move(list); }

micro_credits merge_price(std::int64_t clips) {
  return round_up_to_credit(std::max(prices().merge_least, prices().merge_clip * clamp(clips)));
}

micro_credits upscale_price(std::int64_t duration_ms) { return timed("upscale", duration_ms); }
micro_credits video_to_video_price(std::int64_t duration_ms) { return timed("video_to_video", duration_ms); }
micro_credits audio_price(std::int64_t duration_ms) { return timed("audio", duration_ms); }
micro_credits speech_price(std::int64_t duration_ms) { return timed("speech", duration_ms); }

micro_credits subtitles_price() { return flat("subtitles"); }
micro_credits subtitle_translation_price() { return flat("subtitle_translation"); }
micro_credits edit_price() { return flat("edit"); }
micro_credits tool_price() { return flat("tool"); }

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
  for (const auto& [name, row] : flat_operations)
    if (name == operation)
      return flat(row);
  return std::nullopt;
}

} // namespace troupe::catalog
