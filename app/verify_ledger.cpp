#include "app/verify_ledger.hpp"

#include "actors/ledger/ledger_audit.hpp"
#include "common/exit_codes.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace troupe::app {

namespace {

/// "-12.500000": exact, as a double of a large sum would not be.
std::string in_credits(micro_credits amount) {
  char text[40];
  std::snprintf(text, sizeof text, "%s%" PRId64 ".%06" PRId64, amount < 0 ? "-" : "",
                std::abs(amount / micro_per_credit), std::abs(amount % micro_per_credit));
  return text;
}

} // namespace

int verify_ledger(const std::string& data) {
  auto from = storage::reader::open(data);
  if (!from) {
    std::fprintf(stderr, "troupe admin: %s\n", from.error().message.c_str());
    return exit_failure;
  }
  auto found = ledger::audit(**from);
  if (!found) {
    std::fprintf(stderr, "troupe admin: the ledger cannot be verified: %s\n", found.error().message.c_str());
    return exit_failure;
  }
  std::printf("%" PRIu64 " accounts, %" PRIu64 " transfers, %" PRIu64 " snapshots, %" PRIu64 " open holds, %" PRIu64
              " references\n",
              found->accounts, found->transfers, found->snapshots, found->open_holds, found->references);
  for (const auto* book : {"wallet", "held", "carry", "grants", "revenue", "payments", "refunds"})
    std::printf("%-10s %24s credits\n", book, in_credits(found->books[book]).c_str());
  std::printf("%-10s %24s credits\n", "sum", in_credits(found->sum()).c_str());
  for (const auto& problem : found->problems)
    std::printf("WRONG: %s\n", problem.c_str());
  if (found->good()) {
    std::printf("every balance is what its transfers say\n");
    return exit_ok;
  }
  std::printf("%" PRIu64 " problems%s; keep a copy of the data before anything is repaired\n", found->problem_count,
              found->problem_count > found->problems.size() ? ", the first of them above" : "");
  return exit_failure;
}

} // namespace troupe::app
