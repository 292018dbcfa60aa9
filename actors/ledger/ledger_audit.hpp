#pragma once

// The auditor: works out every balance of every account again from the journal, with arithmetic of its own, and
// compares it with what the program wrote down elsewhere (snapshots, rows). It shares no rule with ledger_core, on
// purpose.

#include "common/money.hpp"
#include "storage/reader.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace troupe::ledger {

struct audit_report {
  std::uint64_t accounts = 0, transfers = 0, snapshots = 0, open_holds = 0, references = 0;
  std::map<std::string, micro_credits> books; // sums over all accounts
  std::uint64_t problem_count = 0;
  std::vector<std::string> problems; // the first hundred, in words: which account, what is wrong

  micro_credits sum() const;
  bool good() const { return problem_count == 0 && sum() == 0; }
};

/// Shows that
///  1. each account's events and transfers follow each other without a gap, and each kind moves what it may;
///  2. no wallet was ever below zero, no hold gave more than it had, nothing was charged, paid or refunded twice, and
///     what is held took part in reversals, later, to the last and no further;
///  3. each snapshot says what the events up to it say;
///  4. every open hold belongs to an open job, and has its row; every reference has its row;
///  5. a job that has ended was charged what its row says;
///  6. the sum over all books is zero.
/// Errors: those of the reader: what cannot be read cannot be verified.
result<audit_report> audit(const storage::reader& from);

} // namespace troupe::ledger
