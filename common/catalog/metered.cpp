#include "common/catalog/metered.hpp"

#include <algorithm>

namespace troupe::catalog {

namespace {

constexpr std::int64_t million = 1'000'000;

micro_credits by_million(std::int64_t quantity, micro_credits price) {
  return (quantity * price + million - 1) / million;
}

} // namespace

// At most 10^7 tokens at 10^11 micro-credits a million: within 63 bits. The same holds for pixels below.
micro_credits token_price(const token_prices& prices, std::int64_t input_tokens, std::int64_t output_tokens) {
  constexpr std::int64_t tokens_max = 10'000'000;
  auto in = std::clamp<std::int64_t>(input_tokens, 0, tokens_max);
  auto out = std::clamp<std::int64_t>(output_tokens, 0, tokens_max);
  return by_million(1, in * prices.input_per_million + out * prices.output_per_million);
}

micro_credits sized_image_price(micro_credits per_megapixel, std::int64_t width, std::int64_t height,
                                std::int64_t count) {
  constexpr std::int64_t side_max = 16'384, count_max = 100;
  auto pixels = std::clamp<std::int64_t>(width, 0, side_max) * std::clamp<std::int64_t>(height, 0, side_max);
  return by_million(pixels, per_megapixel) * std::clamp<std::int64_t>(count, 0, count_max);
}

settlement settle(micro_credits owed_before, micro_credits exact) {
  auto due = owed_before + exact;
  auto settled = due / micro_per_credit * micro_per_credit;
  return {exact, settled, due - settled};
}

} // namespace troupe::catalog
