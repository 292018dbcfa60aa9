#include "actors/ledger/ledger_core.hpp"

#include <gtest/gtest.h>

#include <random>

namespace troupe::ledger {
namespace {

/// Speaks the test's language: whole credits and short names.
struct Ledger {
  ledger_core core;

  std::string move(std::vector<transfer> asked) {
    auto verdict = core.decide(asked, 1000);
    if (auto why = std::get_if<refusal_reason>(&verdict))
      return why->message;
    for (const auto& e : std::get<0>(verdict))
      core.evolve(e);
    core.check_invariants();
    return std::to_string(std::get<0>(verdict).size());
  }
  std::string grant(std::int64_t n) { return move({{"grant", credits(n), {}, {}, {}, {}}}); }
  std::string hold(const char* job, std::int64_t n) { return move({{"hold", credits(n), job, {}, {}, {}}}); }
  std::string capture(const char* job, const char* stage, std::int64_t n) {
    return move({{"capture", credits(n), job, stage, {}, {}}});
  }
  std::string release(const char* job) { return move({{"release", 0, job, {}, {}, {}}}); }
  std::string allowance(const char* period, std::int64_t n) {
    return move({{"allowance", credits(n), {}, {}, period, {}}});
  }
  std::int64_t wallet() const { return core.balance(account_book::wallet) / micro_per_credit; }
  std::int64_t held() const { return core.balance(account_book::held) / micro_per_credit; }
};

TEST(LedgerCore, HoldsThenCapturesWhatEachStageCostsAndReleasesTheRest) {
  Ledger l;
  l.grant(100);
  EXPECT_EQ(l.hold("j", 30), "1");
  EXPECT_EQ(l.capture("j", "0", 10), "1");
  EXPECT_EQ(l.release("j"), "1");
  EXPECT_EQ(l.wallet(), 90);
  EXPECT_EQ(l.held(), 0);
  EXPECT_EQ(l.core.open_holds(), 0u);
}

TEST(LedgerCore, RefusesAHoldThatTheWalletCannotPay) {
  Ledger l;
  l.grant(10);
  EXPECT_EQ(l.hold("j", 11), "Not enough credits");
  EXPECT_EQ(l.wallet(), 10);
}

TEST(LedgerCore, CapturesAStageOnce) {
  Ledger l;
  l.grant(10);
  l.hold("j", 10);
  EXPECT_EQ(l.capture("j", "0", 5), "1");
  EXPECT_EQ(l.capture("j", "0", 5), "0");
  EXPECT_EQ(l.held(), 5);
}

TEST(LedgerCore, NeverCapturesMoreThanIsHeld) {
  Ledger l;
  l.grant(10);
  l.hold("j", 4);
  l.capture("j", "0", 3);
  EXPECT_NE(l.capture("j", "1", 2), "1");
  EXPECT_EQ(l.held(), 1);
}

TEST(LedgerCore, GivesAnAllowanceOnceAPeriodAndTheDifferenceOnAnUpgrade) {
  Ledger l;
  EXPECT_EQ(l.allowance("2026-11", 150), "1");
  EXPECT_EQ(l.allowance("2026-11", 150), "0");
  EXPECT_EQ(l.allowance("2026-11", 1500), "1");
  EXPECT_EQ(l.wallet(), 1500);
  EXPECT_EQ(l.allowance("2026-12", 1500), "1");
  EXPECT_EQ(l.wallet(), 3000);
  EXPECT_EQ(l.allowance("2026-11", 1500), "0"); // a clock that went back
  EXPECT_EQ(l.wallet(), 3000);
}

TEST(LedgerCore, MakesAllOfSeveralMovementsOrNone) {
  Ledger l;
  EXPECT_EQ(l.move({{"allowance", credits(150), {}, {}, "2026-11", {}}, {"hold", credits(151), "j", {}, {}, {}}}),
            "Not enough credits");
  EXPECT_EQ(l.wallet(), 0);
  EXPECT_EQ(l.move({{"allowance", credits(150), {}, {}, "2026-11", {}}, {"hold", credits(150), "j", {}, {}, {}}}), "2");
  EXPECT_EQ(l.held(), 150);
}

TEST(LedgerCore, RefusesNegativeAndAbsurdAmounts) {
  Ledger l;
  EXPECT_NE(l.move({{"grant", -1, {}, {}, {}, {}}}), "1");
  EXPECT_NE(l.move({{"grant", INT64_MAX, {}, {}, {}, {}}}), "1");
  EXPECT_NE(l.move({{"present", 1, {}, {}, {}, {}}}), "1");
}

/// Goal: no order of movements breaks a promise, and a snapshot is as good as the events. Method: a seed draws
/// thousands of movements; after each the invariants hold and a restored snapshot equals the live core.
class LedgerFuzz : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(LedgerFuzz, KeepsItsPromisesInAnyOrder) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  std::mt19937 random(GetParam());
  const char* kinds[] = {"hold", "capture", "release", "grant", "allowance", "nonsense"};
  Ledger l;
  for (int i = 0; i < 2000; ++i) {
    std::vector<transfer> asked;
    for (auto n = 1 + random() % 3; n > 0; --n)
      asked.push_back({kinds[random() % 6],
                       static_cast<micro_credits>(random() % 20'000'000) - 1'000'000,
                       "j" + std::to_string(random() % 5),
                       std::to_string(random() % 3),
                       "2026-0" + std::to_string(1 + random() % 9),
                       {}});
    l.move(asked);
    EXPECT_EQ(ledger_core::from_json(l.core.to_json()).to_json(), l.core.to_json());
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, LedgerFuzz, ::testing::Range(1u, 11u));

} // namespace
} // namespace troupe::ledger
