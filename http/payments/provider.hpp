#pragma once

// What Troupe asks of whoever takes the money. Two there are: the sandbox, which pays at once, and Stripe.

#include "common/clock.hpp"
#include "common/result.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>

namespace troupe::payments {

/// Who buys, and what the provider knows of them already.
struct buyer {
  std::string account;
  std::string customer, subscription; // the provider's ids; empty: none
  std::string plan;                   // the tier that is bought now; empty: none
  std::string tier;                   // the tier that it grants now
  bool active = false;                // that subscription runs (paid, or in its grace)
  timestamp period_end = 0;
  std::string return_url; // where the provider's pages lead back to, without a slash at the end
};

/// A payment that has been made.
struct payment {
  std::string id; // the reference of the ledger's movement
  std::int64_t credits = 0;
};

/// A subscription that has been changed, where the provider knows it at once.
struct subscribed {
  std::string subscription, plan;
  timestamp began = 0, period_start = 0, period_end = 0; // began: when it was made; 0: not said
  bool ends = false;
};

/// What became of the wish to buy: one of the three.
struct checkout {
  std::string url, session;               // where the buyer pays; what follows is told by webhook
  std::optional<payment> paid;            // it is paid
  std::optional<subscribed> subscription; // it is as said
  bool requested = false;                 // the provider was told; what follows is told by webhook
};

/// `once`: names this wish; the same one twice buys once. Errors of all: `declined` (the payment was refused; the
/// message is for the buyer), `no_customer`, `not_sold` (no price for that tier), `busy`, `unreachable`, `refused` (our
/// request was wrong or not allowed; the message is for the log).
class provider {
public:
  virtual ~provider() = default;
  virtual const char* name() const = 0;
  virtual boost::asio::awaitable<result<checkout>> buy_credits(buyer who, std::int64_t credits, std::string once) = 0;
  /// `plan` "free" ends the subscription with its period.
  virtual boost::asio::awaitable<result<checkout>> subscribe(buyer who, std::string plan, std::string once) = 0;
  /// Ends the subscription now, for good and without a refund: the account is being deleted. That there is none, or
  /// that it has ended, is no error.
  virtual boost::asio::awaitable<result<void>> cancel(buyer who) = 0;
  /// The address of a page on which the buyer manages what was bought.
  virtual boost::asio::awaitable<result<std::string>> portal(buyer who, std::string once) = 0;
};

} // namespace troupe::payments
