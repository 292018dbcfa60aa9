#pragma once

// What Stripe's events mean to Troupe: pure. What is not known here is of no concern, and is answered 200.

#include "common/clock.hpp"
#include "common/json.hpp"

#include <string>
#include <variant>
#include <vector>

namespace troupe::payments {

/// Credits were paid for.
struct paid_credits {
  std::string account, payment, customer;
  std::int64_t credits = 0;
};
/// Money of an earlier payment went back to the buyer, or (`again`) came back: a dispute was won, a refund failed.
struct paid_back {
  std::string payment, reference; // what was paid; the refund or dispute
  std::int64_t credits = 0;
  bool again = false;
};
/// A subscription is now so. `plan` empty: not said. `account` may be empty: the customer says whose it is.
struct subscription_is {
  std::string account, customer, subscription, plan, status; // status: none, active, past_due, ended
  timestamp period_start = 0, period_end = 0;
  std::string ends;    // "yes", "no", "": not said
  timestamp began = 0; // when it was made at the provider; 0: not said
};
/// Nothing that concerns us.
struct of_no_concern {};

struct stripe_event {
  std::string id, type;
  timestamp created = 0; // milliseconds
  std::variant<of_no_concern, paid_credits, paid_back, subscription_is> what;
};

/// What the provider calls a price, and the tier that it buys.
struct price {
  std::string id, tier;
};
/// In the order of the settings: the first price of a tier is sold, the others are what older subscribers pay.
using price_table = std::vector<price>;

/// Reads an event. Errors: `malformed` (no event of Stripe's), `unknown_price` (a subscription to what this studio does
/// not sell), `wrong_amount` (what was paid is not what was asked). The messages are for the log.
result<stripe_event> read_stripe_event(const json& event, const price_table& prices, const std::string& currency);

} // namespace troupe::payments
