#pragma once

// The rules of one account's subscription: pure, rebuilt from its events. docs/payments.md says them for people.
// decide() says what the subscription becomes; the event holds the outcome, so that rules may change and history not.

#include "common/clock.hpp"
#include "common/json.hpp"

#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::subscription {

/// `none`: never had one, or it has not been paid yet. `past_due`: a renewal failed. `ended` is final for that one.
enum class standing { none, active, past_due, ended };
const char* to_string(standing which);
std::optional<standing> standing_of(std::string_view name);

/// What a payment provider says of a subscription. Empty and 0: it says nothing of that.
struct report {
  std::string event;                          // its id; the same one is taken once
  std::string provider;                       // "sandbox", "stripe"
  std::string customer, subscription;         // the provider's ids
  std::string plan;                           // the tier that is bought
  standing status = standing::none;           // always said
  timestamp created = 0;                      // when it became true at the provider
  timestamp began = 0;                        // when the subscription itself was made there
  timestamp period_start = 0, period_end = 0; // what is paid for
  std::optional<bool> ends;                   // it will not be renewed
};

/// The subscription as it is from now on.
struct became {
  static constexpr const char* type = "became";
  std::string event, why; // the provider's event, or none: time has passed; why: for people
  std::string provider, customer, subscription, plan, tier, status;
  timestamp began = 0, last_report = 0, period_end = 0, paid_until = 0, grace_until = 0;
  bool ends = false;
  timestamp at = 0;
};
/// The account has the tier.
struct tier_given {
  static constexpr const char* type = "tier_given";
  std::string tier;
  timestamp at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(became, event, why, provider, customer, subscription, plan, tier,
                                                status, began, last_report, period_end, paid_until, grace_until, ends,
                                                at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(tier_given, tier, at)

using event = std::variant<became, tier_given>;

class subscription_core {
public:
  using event = subscription::event;

  static constexpr std::size_t events_remembered_max = 64;
  static constexpr timestamp sandbox_period_ms = 30ll * 24 * 3600 * 1000;

  /// What the report changes; nothing when it was taken before, is older than what is known, or is of a subscription
  /// that has not the place of the one that counts. `grace_ms`: how long a tier outlives a failed renewal.
  std::optional<became> decide(const report& said, timestamp grace_ms, timestamp now) const;
  /// What time has changed: a period or a grace that is over. `provider`: who takes the money now.
  std::optional<became> pass(timestamp now, const std::string& provider) const;
  void evolve(const event& happened);

  /// When pass() has something to say; 0: never.
  timestamp due_at() const;
  /// The tier that the account must be given, if it has not got it yet.
  std::optional<std::string> tier_to_give() const;
  /// What the tier becomes at the end of the period, if that is another one.
  std::string next_tier() const;
  bool took(const std::string& id) const;
  const became& now() const { return now_; }
  bool exists() const { return !now_.status.empty(); }

  json to_json() const;
  static subscription_core from_json(const json& state);
  /// Aborts when a promise is broken: 1. what is granted is a tier; 2. an ended subscription grants the free tier;
  /// 3. more than what is bought is granted only until `paid_until`.
  void check_invariants() const;

private:
  bool runs() const;
  bool is_news(const report& said) const;
  void grant(became& next, const report& said, timestamp now) const;
  became pass_sandbox(became next, timestamp now, const std::string& provider) const;

  became now_;
  std::string given_; // the tier that the account was given last
  std::deque<std::string> taken_;
};

} // namespace troupe::subscription
