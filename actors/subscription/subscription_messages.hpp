#pragma once

// What may be said to an account's subscription: what its payment provider reports, and that time has passed.

#include "actors/account/account_messages.hpp"

namespace troupe {

struct subscription_view {
  std::string provider, customer, subscription; // ids at the provider; empty: there is none
  std::string status;                           // none, active, past_due, ended
  std::string plan;                             // the tier that is bought
  std::string tier;                             // the tier that it grants now; empty: it has never granted one
  std::string next_tier;                        // what it grants after `changes_at`; empty: no change is known
  timestamp period_end = 0, changes_at = 0, grace_until = 0; // 0: none
  bool changed = false;                                      // by this very command
};
TROUPE_MESSAGE(subscription_view, provider, customer, subscription, status, plan, tier, next_tier, period_end,
               changes_at, grace_until, changed)

/// A payment provider's word on the account's subscription; the fields are those of subscription::report. `rows` are
/// written with what it changes, also when that is nothing. Answered when the account has the tier. Errors: invalid (a
/// tier or status that there is not), unavailable.
struct report_subscription {
  static constexpr actor_kind to = actor_kind::subscription;
  using reply = subscription_view;
  std::string account;
  std::string event, provider, customer, subscription, plan, status;
  timestamp created = 0, began = 0, period_start = 0, period_end = 0;
  std::string ends; // "yes", "no"; empty: not said
  timestamp grace_ms = 0;
  std::vector<storage::row> rows;
  timestamp at = 0;
};
TROUPE_MESSAGE(report_subscription, account, event, provider, customer, subscription, plan, status, created, began,
               period_start, period_end, ends, grace_ms, rows, at)

/// Its time has come, as a row of the table subscription_due says.
struct pass_time {
  static constexpr actor_kind to = actor_kind::subscription;
  using reply = subscription_view;
  std::string account;
  std::string provider; // who takes the money now
  timestamp due = 0;    // of that row
  timestamp at = 0;
};
TROUPE_MESSAGE(pass_time, account, provider, due, at)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_subscription, caf::id_block::troupe_account::end)
CAF_ADD_TYPE_ID(troupe_subscription, (troupe::subscription_view))
CAF_ADD_TYPE_ID(troupe_subscription, (troupe::report_subscription))
CAF_ADD_TYPE_ID(troupe_subscription, (troupe::pass_time))
CAF_END_TYPE_ID_BLOCK(troupe_subscription)
