#pragma once

// Metered amounts: exact in micro-credits, settled by the wallet in whole credits (a credit is a cent), the fraction
// carried to the next charge. The *_charge_cents, *_charge_usd and metered_*_charge_usd of the unified API come from
// here.

#include "common/catalog/prices.hpp"

namespace troupe::catalog {

/// Tokens, rounded up to a micro-credit. Quantities are clamped to 0 … 10^7 tokens.
micro_credits token_price(const token_prices& prices, std::int64_t input_tokens, std::int64_t output_tokens);

/// `count` images of a size, by their pixels, rounded up to a micro-credit. Sides are clamped to 16,384, the count to
/// 100.
micro_credits sized_image_price(micro_credits per_megapixel, std::int64_t width, std::int64_t height,
                                std::int64_t count);

/// What a charge does to an account that owes a fraction of a credit already.
struct settlement {
  micro_credits exact = 0;   // metered
  micro_credits settled = 0; // whole credits, from the wallet
  micro_credits owed = 0;    // carried on: 0 up to one credit, which it never reaches

  std::int64_t charge_cents() const { return settled / micro_per_credit; }
  double charge_usd() const { return static_cast<double>(charge_cents()) / 100; }
  double metered_charge_usd() const { return static_cast<double>(exact) / (100.0 * micro_per_credit); }
};
settlement settle(micro_credits owed_before, micro_credits exact);

/// What must be held so that a charge of at most `exact` can be settled, whatever is carried.
constexpr micro_credits hold_for(micro_credits exact) { return round_up_to_credit(exact); }

} // namespace troupe::catalog
