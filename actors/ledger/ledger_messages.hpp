#pragma once

// What other actors may say to an account's ledger, and what it may answer. The ledger keeps the account's books: it is
// the only writer of the account's money and of the account's own event log (the feed that SSE and webhooks read), so
// that money, work and what is told of them become durable in one batch.

#include "actors/base/message.hpp"
#include "common/clock.hpp"
#include "common/money.hpp"
#include "storage/journal.hpp"

#include <string>
#include <vector>

namespace troupe::storage {

void to_json(json& out, const row& x);
void from_json(const json& in, row& x);
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(append, actor, first_seq, events)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(feed_append, account, first_id, entries)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(snapshot, actor, seq, state)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(batch, appends, feeds, rows, snapshots)

} // namespace troupe::storage

namespace troupe {

/// One balanced movement between two of the account's books, all in micro-credits:
///   hold       wallet → held      the price of a job, before it may run; refused when the wallet has less
///   capture    held → revenue     the share of a stage that succeeded; a stage captures once
///   release    held → wallet      all that is left of a job's hold
///   grant      grants → wallet    by an admin, with a reason
///   allowance  grants → wallet    up to `amount` in all for `period`; what was given in it before counts
struct movement {
  std::string kind;
  micro_credits amount = 0; // ≥ 0; of no use to release
  std::string job;
  std::string stage;  // of a capture
  std::string period; // of an allowance, "2026-11"
  std::string note;
};
TROUPE_MESSAGE(movement, kind, amount, job, stage, period, note)

struct booked {
  micro_credits balance = 0; // what the wallet can still spend
  micro_credits held = 0;
  std::uint64_t first_feed_id = 0; // of the entries handed along; 0 when there were none
};
TROUPE_MESSAGE(booked, balance, held, first_feed_id)

/// Makes movements, rows and events durable in one batch, or none of them. Errors: insufficient_credits (context: cost,
/// balance in whole credits), invalid, conflict, exists, unavailable.
struct book {
  static constexpr actor_kind to = actor_kind::ledger;
  using reply = booked;
  std::string account;
  timestamp at = 0;
  std::vector<movement> movements;
  storage::batch attached;       // what must exist if and only if the money moves: a job's events and rows
  std::vector<std::string> feed; // packed entries for the account's log, in order
};
TROUPE_MESSAGE(book, account, at, movements, attached, feed)

struct books {
  micro_credits balance = 0;
  micro_credits held = 0;
  micro_credits spent = 0;   // captured, ever
  micro_credits granted = 0; // grants and allowances, ever
};
TROUPE_MESSAGE(books, balance, held, spent, granted)

/// Reads the balances as they are durable.
struct read_books {
  static constexpr actor_kind to = actor_kind::ledger;
  using reply = books;
  std::string account;
};
TROUPE_MESSAGE(read_books, account)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_ledger, caf::id_block::troupe_base::end)
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::book))
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::booked))
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::read_books))
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::books))
CAF_END_TYPE_ID_BLOCK(troupe_ledger)
