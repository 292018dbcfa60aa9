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

/// What is asked to move between two of the account's books, all in micro-credits:
///   hold       wallet → held      the price of a job, before it may run; refused when the wallet has less, or the key
///
///   capture    held → revenue     the share of a stage that succeeded; a stage captures once
///   meter      held → carry → revenue  the same for an exact amount: the wallet pays whole credits, the rest is owed
///
///   release    held → wallet      all that is left of a job's hold
///
///   grant      grants → wallet    by an admin, with a reason; it may have a reference
///
///   allowance  grants → wallet    up to `amount` in all for `period`; what was given in it before counts
///
///   topup      payments → wallet  what a customer paid for
///
///   reversal   wallet → payments  a topup that was paid back, as far as the wallet still has it; what is held follows
///   when it comes back
///
///   reinstatement  payments → wallet  what the reversal of that reference took, when a dispute was won; `amount` is
///   what all its parts took until now
///
///   refund     refunds → wallet   by an admin, with the reason in `note`
/// A topup, reversal, reinstatement or refund must have a reference; what has one and whose kind and reference were
/// seen before moves nothing.
struct movement {
  std::string kind;
  micro_credits amount = 0; // ≥ 0; of no use to release
  std::string job;
  std::string stage;  // of a capture or meter
  std::string period; // of an allowance, "2026-11"
  std::string note;
  std::string reference = {};  // 1 to 255 bytes
  std::string key = {};        // of a hold: id of the API key that asks for it; empty with a session
  micro_credits key_limit = 0; // of a hold: what the key may spend and hold in all; 0: no limit
};
TROUPE_MESSAGE(movement, kind, amount, job, stage, period, note, reference, key, key_limit)

struct booked {
  micro_credits balance = 0; // what the wallet can still spend
  micro_credits held = 0;
  std::uint64_t first_feed_id = 0; // of the entries handed along; 0 when there were none
  std::uint32_t transfers = 0;     // how many were made; a repeat makes none
  micro_credits moved = 0;         // the sum of their amounts
};
TROUPE_MESSAGE(booked, balance, held, first_feed_id, transfers, moved)

/// Makes movements, rows and events durable in one batch, or none of them. Errors: insufficient_credits (context: cost,
/// balance in whole credits), spend_limit_exceeded (context: cost, key_balance), invalid, conflict, exists (a row that
/// had to be absent; also a reference that is older than the ledger's memory), unavailable.
struct book {
  static constexpr actor_kind to = actor_kind::ledger;
  using reply = booked;
  std::string account;
  timestamp at = 0;
  std::vector<movement> movements;
  storage::batch attached;                 // what must exist if and only if the money moves: a job's events and rows
  std::vector<std::string> feed;           // packed entries for the account's log, in order
  std::vector<storage::row> if_moved = {}; // what tells of the money: only if a transfer is made, not with a repeat
};
TROUPE_MESSAGE(book, account, at, movements, attached, feed, if_moved)

struct books {
  micro_credits balance = 0;
  micro_credits held = 0;
  micro_credits spent = 0;                   // captured, ever
  micro_credits granted = 0;                 // grants and allowances, ever
  micro_credits owed = 0;                    // the fraction of a credit that metered charges have left to be paid
  micro_credits paid = 0;                    // topups less reversals, ever
  micro_credits refunded = 0;                // ever
  micro_credits key_spent = 0, key_held = 0; // of the key that was asked for
};
TROUPE_MESSAGE(books, balance, held, spent, granted, owed, paid, refunded, key_spent, key_held)

/// Reads the balances as they are durable.
struct read_books {
  static constexpr actor_kind to = actor_kind::ledger;
  using reply = books;
  std::string account;
  std::string key = {}; // id of an API key, or empty
};
TROUPE_MESSAGE(read_books, account, key)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_ledger, caf::id_block::troupe_base::end)
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::book))
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::booked))
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::read_books))
CAF_ADD_TYPE_ID(troupe_ledger, (troupe::books))
CAF_END_TYPE_ID_BLOCK(troupe_ledger)
