#pragma once

// What was paid becomes credits and tiers: from a provider's word to the actors that own them.

#include "common/periodic.hpp"
#include "http/bridge/head.hpp"
#include "http/message.hpp"
#include "http/payments/provider.hpp"
#include "http/payments/stripe_event.hpp"

namespace troupe::payments {

struct settings {
  timestamp grace_ms = 7ll * 24 * 3600 * 1000; // how long a tier outlives a failed renewal
  std::string currency = "gbp";
  std::string publishable_key;
  std::vector<std::string> webhook_secrets; // empty: no webhooks
  price_table prices;
  std::string public_url; // where people reach the studio; empty: where the request went
};

/// Books what was paid, once. Its commands may be repeated: each carries the provider's own id of what happened.
class cashier {
public:
  cashier(const http::head& h, provider& with, settings how) : h_(h), with_(with), how_(std::move(how)) {}

  provider& with() const { return with_; }
  const settings& how() const { return how_; }

  /// Top-up: the credits, the row that says whom a refund would be of, and (with `event`) that the event was taken are
  /// one batch. `extra` is booked before.
  boost::asio::awaitable<std::variant<booked, http::problem>> credit(paid_credits paid, std::string event,
                                                                     std::vector<movement> extra) const;
  /// A subscription as the provider says it is. `created`: when that became true.
  boost::asio::awaitable<std::variant<subscription_view, http::problem>>
  subscription(subscription_is now, timestamp created, std::string event, std::string type) const;
  /// A webhook's event, all of it. Nothing: it was taken, now or before, or is of no concern.
  boost::asio::awaitable<std::optional<http::problem>> take(stripe_event event) const;

  /// What views know of an account's subscription.
  subscription_view known(const std::string& account) const;
  /// The same as the provider needs it, without a return_url. What was bought of another provider, before the settings
  /// changed, is not in it.
  buyer buyer_of(const std::string& account) const;
  /// What goes with an account that is deleted: who it is at the provider.
  std::vector<storage::row> rows_to_forget(const std::string& account) const;
  bool took(const std::string& event) const;

private:
  boost::asio::awaitable<std::optional<http::problem>> reverse(paid_back back, std::string event,
                                                               timestamp created) const;

  const http::head& h_;
  provider& with_;
  settings how_;
};

/// Forgets that events of before `before` were taken, a bounded number at once; how many. What they did stays known:
/// the ledger keeps each payment's reference for ever.
std::size_t forget_events(storage::database& from, timestamp before);

/// Takes up what was paid back before it was known to be paid: its rows go when the payment has come, or after five
/// days, by when it must be of something else. Returns how many were taken up.
std::size_t take_up_early_reversals(const http::head& h, timestamp now);

/// Tells subscriptions that their time has come. Owns a thread that looks at the rows that are due, twice a second, and
/// one that takes up early reversals and forgets events that no provider sends again.
class due_watch {
public:
  /// `provider`: who takes the money now.
  due_watch(const http::head& h, std::string provider);

private:
  void look() const;

  const http::head& h_;
  std::string provider_;
  periodic thread_, early_, forgets_;
};

} // namespace troupe::payments
