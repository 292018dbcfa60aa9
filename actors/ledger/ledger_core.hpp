#pragma once

// The rules of one account's ledger: double-entry, in integer micro-credits, with no actors, no clock and no disk.
// decide() never changes anything; evolve() never refuses. So a restart can replay the events, and a test a seed.

#include "common/clock.hpp"
#include "common/json.hpp"
#include "common/money.hpp"

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace troupe::ledger {

/// The books that one account's ledger keeps. Each transfer takes from one what it gives to another.
enum class account_book : std::uint8_t { wallet, held, revenue, grants };
const char* to_string(account_book which);

/// One balanced transfer.
struct transferred {
  static constexpr const char* type = "transferred";
  std::uint64_t id = 0;     // from 1, dense in this ledger
  std::string kind;         // hold, capture, release, grant, allowance
  micro_credits amount = 0; // > 0, or 0 for a hold or capture that is free
  std::string job, stage, period, note;
  timestamp at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(transferred, id, kind, amount, job, stage, period, note, at)

using event = std::variant<transferred>;

/// What is asked; the fields of the same names as in transferred.
struct transfer {
  std::string kind;
  micro_credits amount = 0;
  std::string job, stage, period, note;
};

struct refusal_reason {
  enum class code { insufficient, invalid, conflict } why = code::invalid;
  std::string message;
  micro_credits cost = 0, balance = 0; // of insufficient
};

class ledger_core {
public:
  using event = ledger::event;
  using verdict = std::variant<std::vector<event>, refusal_reason>;

  /// All of `asked`, in order, or a reason. A capture that was made already asks for nothing.
  verdict decide(const std::vector<transfer>& asked, timestamp at) const;
  void evolve(const event& happened);

  micro_credits balance(account_book which) const { return books_[static_cast<std::size_t>(which)]; }
  micro_credits held_for(const std::string& job) const;
  std::size_t open_holds() const { return holds_.size(); }

  json to_json() const;
  static ledger_core from_json(const json& state);

  /// Aborts when a promise of the ledger is broken:
  ///  1. neither the wallet nor what is held is ever below zero;
  ///  2. the sum over all books is zero;
  ///  3. what is held is the sum of what the open holds have left, and no hold has less than nothing.
  void check_invariants() const;

private:
  struct hold {
    micro_credits left = 0;
    std::set<std::string> captured; // stages
  };

  std::variant<std::monostate, transferred, refusal_reason> judge(const transfer& asked) const;

  std::array<micro_credits, 4> books_{};
  std::map<std::string, hold> holds_; // by job
  std::string period_;                // the newest month that an allowance was given in
  micro_credits given_in_period_ = 0;
  std::uint64_t transfers_ = 0;
};

} // namespace troupe::ledger
