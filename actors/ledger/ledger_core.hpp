#pragma once

// The rules of one account's ledger: double-entry, in integer micro-credits, with no actors, no clock and no disk.
// decide() never changes anything; evolve() never refuses. So a restart can replay the events, and a test a seed.
// docs/money.md says what the books and movements are for.

#include "common/clock.hpp"
#include "common/money.hpp"
#include "common/packed.hpp"

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace troupe::ledger {

/// The books that one account's ledger keeps. Each transfer takes from one what it gives to another. Wallet, held and
/// carry are the account's; the others are the operator's side of it.
enum class account_book : std::uint8_t { wallet, held, carry, grants, revenue, payments, refunds };
inline constexpr std::size_t book_count = 7;
const char* to_string(account_book which);

/// From which book to which a kind of transfer goes; nothing for a word that is no kind.
struct route {
  account_book from, to;
};
std::optional<route> route_of(std::string_view kind);

/// One balanced transfer, as the journal keeps it.
struct transferred {
  static constexpr const char* type = "transferred";
  std::uint64_t id = 0;     // from 1, dense in this ledger
  std::string kind;         // see route_of()
  micro_credits amount = 0; // > 0, or 0 for a hold or capture that is free and a reversal that found an empty wallet
  std::string job, stage, period, note;
  std::string reference;         // of a topup, reversal, reinstatement or refund
  std::string completes;         // of a reversal that takes what an earlier one had to leave: that one's reference
  std::string key;               // id of the API key that asked for the hold
  micro_credits outstanding = 0; // of a reversal: what it has to leave for now, as it is held
  timestamp at = 0;
};
/// Empty fields are left out: a ledger is written far more often than read.
packed_map packed_fields(const transferred& x);
void to_json(json& out, const transferred& x);
void from_json(const json& in, transferred& x);

using event = std::variant<transferred>;

/// What is asked; the fields of the same names as in transferred. The kinds are those of route_of() without `settle`,
/// which a `meter` brings along.
struct transfer {
  std::string kind;
  micro_credits amount = 0;
  std::string job, stage, period, note;
  std::string reference = {}, key = {};
  micro_credits key_limit = 0; // of a hold: what its key may spend and hold in all; 0: no limit
};

struct refusal_reason {
  enum class code { insufficient, key_limit, invalid, conflict } why = code::invalid;
  std::string message;
  micro_credits cost = 0, balance = 0; // of insufficient; of key_limit the balance is what the key has left
};

/// What an API key has cost so far.
struct key_use {
  micro_credits spent = 0, held = 0;
  micro_credits total() const { return spent + held; }
};

class ledger_core {
public:
  using event = ledger::event;
  using verdict = std::variant<std::vector<event>, refusal_reason>;

  /// Topups, reversals, reinstatements and refunds whose references are known by heart. Older ones are known by their
  /// row.
  static constexpr std::size_t references_max = 1000;
  /// Reversals in parts that are remembered when they are complete, in case they are given back.
  static constexpr std::size_t partial_reversals_max = 1000;

  /// All of `asked`, in order, or a reason. What happened already (a capture of the same stage, a topup of the same
  /// reference) asks for nothing.
  verdict decide(const std::vector<transfer>& asked, timestamp at) const;
  void evolve(const event& happened);

  micro_credits balance(account_book which) const { return books_[static_cast<std::size_t>(which)]; }
  /// The fraction of a credit that metered charges have left to be paid: 0 up to one credit, which it never reaches.
  micro_credits owed() const { return -balance(account_book::carry); }
  /// What the wallet pays for a metered charge of `exact`, now: whole credits.
  micro_credits settled_for(micro_credits exact) const {
    return (owed() + exact) / micro_per_credit * micro_per_credit;
  }
  micro_credits held_for(const std::string& job) const;
  key_use used_by(const std::string& key) const;
  std::size_t open_holds() const { return holds_.size(); }

  struct hold {
    micro_credits left = 0;
    std::set<std::string> captured; // stages
    std::string key;
    timestamp at = 0; // 0: before holds had a time
  };
  const std::map<std::string, hold>& holds() const { return holds_; } // by job

  /// A reversal that found too little in the wallet, and more of it held.
  struct partial_reversal {
    std::string reference;
    micro_credits taken = 0, left = 0; // left: is taken from the next releases and payments
  };
  /// What partial reversals have left to be taken.
  micro_credits outstanding() const;

  json to_json() const;
  static ledger_core from_json(const json& state);

  /// Aborts when a promise of the ledger is broken:
  ///  1. neither the wallet nor what is held is ever below zero;
  ///  2. the sum over all books is zero;
  ///  3. what is held is the sum of what the open holds have left, and no hold has less than nothing;
  ///  4. what is carried is less than one credit, and always the account's debt;
  ///  5. what a key holds is the sum of its open holds, and a key never spent less than nothing;
  ///  6. no reversal took more than it was for.
  void check_invariants() const;

private:
  using made = std::vector<transferred>;
  std::optional<refusal_reason> judge(const transfer& asked, made& into) const;
  std::optional<refusal_reason> judge_hold(const transfer& asked, made& into) const;
  std::optional<refusal_reason> judge_charge(const transfer& asked, made& into) const;
  std::optional<refusal_reason> judge_referenced(const transfer& asked, made& into) const;
  void judge_release(const transfer& asked, made& into) const;
  void judge_allowance(const transfer& asked, made& into) const;
  void complete_reversals(micro_credits brought, const std::string& but, made& into) const;
  void note_reversal(const transferred& e);
  void forgive_spent();
  const partial_reversal* find_partial(const std::string& reference) const;
  bool knows(const std::string& kind, const std::string& reference) const;
  /// The part of this ledger that `asked` can see or change; the whole may have thousands of holds.
  ledger_core excerpt_for(const std::vector<transfer>& asked) const;
  void check_holds() const;

  std::array<micro_credits, book_count> books_{};
  std::map<std::string, hold> holds_;
  std::map<std::string, key_use> keys_;
  std::deque<std::string> references_;             // "kind:reference", oldest first
  std::deque<partial_reversal> partial_reversals_; // oldest first
  std::string period_;                             // the newest month that an allowance was given in
  micro_credits given_in_period_ = 0;
  std::uint64_t transfers_ = 0;
};

} // namespace troupe::ledger
