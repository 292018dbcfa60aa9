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
  std::string topup(const char* reference, std::int64_t n) {
    return move({{"topup", credits(n), {}, {}, {}, {}, reference}});
  }
  std::string reversal(const char* reference, std::int64_t n) {
    return move({{"reversal", credits(n), {}, {}, {}, {}, reference}});
  }
  std::string reinstatement(const char* reference, std::int64_t n) {
    return move({{"reinstatement", credits(n), {}, {}, {}, {}, reference}});
  }
  std::string hold_by(const char* key, std::int64_t limit, const char* job, std::int64_t n) {
    return move({{"hold", credits(n), job, {}, {}, {}, {}, key, credits(limit)}});
  }
  std::string meter(const char* job, const char* stage, micro_credits exact) {
    return move({{"meter", exact, job, stage, {}, {}}});
  }
  micro_credits in(account_book which) const { return core.balance(which); }
  void restart() { core = ledger_core::from_json(core.to_json()); }
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

TEST(LedgerCore, ATopupWithAReferenceThatWasSeenMovesNothingAlsoAfterARestart) {
  Ledger l;
  EXPECT_EQ(l.topup("pay_1", 500), "1");
  EXPECT_EQ(l.topup("pay_1", 500), "0");
  l.restart();
  EXPECT_EQ(l.topup("pay_1", 500), "0");
  EXPECT_EQ(l.move({{"topup", credits(5), {}, {}, {}, {}, "a"}, {"topup", credits(5), {}, {}, {}, {}, "a"}}), "1");
  EXPECT_EQ(l.wallet(), 505);
  EXPECT_EQ(l.in(account_book::payments), -credits(505));
  EXPECT_NE(l.topup("", 500), "1");
}

TEST(LedgerCore, AReversalTakesBackWhatTheWalletStillHasAndIsMadeOnce) {
  Ledger l;
  l.topup("pay_1", 100);
  l.hold("j", 70);
  std::vector<transfer> reversal{{"reversal", credits(100), {}, {}, {}, "charged back", "pay_1"}};
  EXPECT_EQ(l.move(reversal), "1");
  EXPECT_EQ(l.wallet(), 0);
  EXPECT_EQ(l.in(account_book::payments), -credits(70));
  EXPECT_EQ(l.move(reversal), "0");
  EXPECT_EQ(l.release("j"), "2");
  EXPECT_EQ(l.move(reversal), "0");
  EXPECT_EQ(l.wallet(), 0) << "cancelling a job does not save its credits from the chargeback";
  EXPECT_EQ(l.in(account_book::payments), 0);
}

TEST(LedgerCore, AReversalLeavesNoMoreThanIsHeldAndTakesNoMoreThanItIsFor) {
  Ledger l;
  l.topup("pay_1", 100);
  l.hold("a", 20);
  l.hold("b", 30);
  l.hold("spent", 40);
  l.capture("spent", "0", 40);
  l.release("spent");
  EXPECT_EQ(l.reversal("re_1", 80), "1");
  EXPECT_EQ(l.core.outstanding(), credits(50)) << "10 were in the wallet, 20 of the 80 are spent";
  EXPECT_EQ(l.reversal("re_2", 20), "1");
  EXPECT_EQ(l.core.outstanding(), credits(50)) << "what is held is spoken for";
  l.restart();
  EXPECT_EQ(l.release("a"), "2");
  EXPECT_EQ(l.wallet(), 0);
  l.capture("b", "0", 15);
  EXPECT_EQ(l.core.outstanding(), credits(15)) << "what is spent is not owed";
  l.grant(7);
  EXPECT_EQ(l.wallet(), 7) << "what is given is not taken";
  EXPECT_EQ(l.topup("pay_2", 10), "2");
  EXPECT_EQ(l.wallet(), 7);
  EXPECT_EQ(l.core.outstanding(), credits(5));
  EXPECT_EQ(l.release("b"), "2");
  EXPECT_EQ(l.wallet(), 17);
  EXPECT_EQ(l.core.outstanding(), 0);
  l.topup("pay_3", 5);
  EXPECT_EQ(l.wallet(), 22);
}

TEST(LedgerCore, WhatIsSpentAfterAReversalIsNotTakenFromLaterHolds) {
  Ledger l;
  l.topup("pay_1", 100);
  l.hold("a", 60);
  l.hold("b", 40);
  l.reversal("re_1", 30);
  l.reversal("re_2", 70);
  EXPECT_EQ(l.core.outstanding(), credits(100));
  l.capture("a", "0", 60);
  EXPECT_EQ(l.core.outstanding(), credits(40)) << "30 of the older, 10 of the newer";
  l.restart();
  l.capture("b", "0", 40);
  EXPECT_EQ(l.core.outstanding(), 0);
  l.grant(20);
  l.hold("c", 20);
  l.release("c");
  EXPECT_EQ(l.wallet(), 20);
}

TEST(LedgerCore, OneRequestThatReleasesAndHoldsCannotGetRoundAReversal) {
  Ledger l;
  l.topup("pay_1", 100);
  l.hold("a", 100);
  l.reversal("re_1", 100);
  EXPECT_EQ(l.move({{"release", 0, "a", {}, {}, {}}, {"hold", credits(1), "b", {}, {}, {}}}), "Not enough credits");
  EXPECT_EQ(l.release("a"), "2");
  EXPECT_EQ(l.wallet(), 0);
}

TEST(LedgerCore, AReinstatementGivesBackWhatTheReversalTookAndWhatItHadLeftStays) {
  Ledger l;
  l.topup("pay_1", 100);
  l.hold("a", 40);
  l.hold("b", 30);
  l.reversal("dp_1", 100); // takes 30 and leaves 70
  l.release("a");          // takes 40 of them
  EXPECT_EQ(l.reinstatement("dp_1", 30), "1") << "the caller knows of the first part";
  EXPECT_EQ(l.wallet(), 70);
  EXPECT_EQ(l.reinstatement("dp_1", 30), "0");
  l.restart();
  l.release("b");
  EXPECT_EQ(l.wallet(), 100);
  EXPECT_EQ(l.in(account_book::payments), -credits(100));
}

TEST(LedgerCore, AGrantThatIsNamedIsMadeOnce) {
  Ledger l;
  EXPECT_EQ(l.move({{"grant", credits(5), {}, {}, {}, {}, "gift"}}), "1");
  EXPECT_EQ(l.move({{"grant", credits(5), {}, {}, {}, {}, "gift"}}), "0");
  EXPECT_EQ(l.move({{"grant", credits(5), {}, {}, {}, {}, {}}, {"grant", credits(5), {}, {}, {}, {}, {}}}), "2");
  EXPECT_EQ(l.wallet(), 15);
}

TEST(LedgerCore, AReinstatementOfAReversalThatFoundNothingGivesNothing) {
  Ledger l;
  l.reversal("dp_1", 100);
  EXPECT_EQ(l.reinstatement("dp_1", 0), "1");
  EXPECT_EQ(l.reinstatement("dp_1", 0), "0");
  EXPECT_EQ(l.wallet(), 0);
}

TEST(LedgerCore, ARefundIsMadeOnceAndComesFromItsOwnBook) {
  Ledger l;
  std::vector<transfer> refund{{"refund", credits(9), "j", {}, {}, "it came out black", "case-7"}};
  EXPECT_EQ(l.move(refund), "1");
  EXPECT_EQ(l.move(refund), "0");
  EXPECT_EQ(l.wallet(), 9);
  EXPECT_EQ(l.in(account_book::refunds), -credits(9));
}

TEST(LedgerCore, RemembersABoundedNumberOfReferences) {
  Ledger l;
  for (std::size_t i = 0; i <= ledger_core::references_max; ++i)
    ASSERT_EQ(l.topup(std::to_string(i).c_str(), 1), "1");
  EXPECT_EQ(l.core.to_json()["references"].size(), ledger_core::references_max);
  EXPECT_EQ(l.topup("1", 1), "0");
}

TEST(LedgerCore, AKeySpendsAndHoldsNoMoreThanItsLimit) {
  Ledger l;
  l.grant(100);
  EXPECT_EQ(l.hold_by("k", 30, "a", 20), "1");
  EXPECT_EQ(l.hold_by("k", 30, "b", 11), "The API key has reached its spend limit");
  EXPECT_EQ(l.hold_by("k", 30, "b", 10), "1");
  l.capture("a", "0", 15);
  EXPECT_EQ(l.core.used_by("k").spent, credits(15));
  EXPECT_EQ(l.core.used_by("k").held, credits(15));
  l.release("a"); // gives 5 back to the key too
  l.restart();
  EXPECT_EQ(l.hold_by("k", 30, "c", 6), "The API key has reached its spend limit");
  EXPECT_EQ(l.hold_by("k", 30, "c", 5), "1");
  EXPECT_EQ(l.hold_by("other", 30, "d", 30), "1");
  EXPECT_EQ(l.hold_by("k", 0, "e", 20), "1"); // a limit that was taken away
}

TEST(LedgerCore, TwoHoldsOfOneRequestShareTheLimitOfTheirKey) {
  Ledger l;
  l.grant(100);
  EXPECT_EQ(l.move({{"hold", credits(6), "a", {}, {}, {}, {}, "k", credits(10)},
                    {"hold", credits(6), "b", {}, {}, {}, {}, "k", credits(10)}}),
            "The API key has reached its spend limit");
  EXPECT_EQ(l.held(), 0);
}

TEST(LedgerCore, AMeteredChargeSettlesWholeCreditsAndCarriesTheRest) {
  Ledger l;
  l.grant(10);
  l.hold("a", 2);
  EXPECT_EQ(l.meter("a", "0", 1'600'000), "2"); // pays 1 of its 1.6
  EXPECT_EQ(l.core.owed(), 600'000);
  EXPECT_EQ(l.meter("a", "0", 1'600'000), "0");
  l.release("a");
  EXPECT_EQ(l.wallet(), 9);
  l.restart();
  l.hold("b", 1);
  EXPECT_EQ(l.meter("b", "0", 300'000), "1"); // 0.9 is no credit yet
  l.release("b");
  l.hold("c", 1);
  EXPECT_EQ(l.meter("c", "0", 100'000), "2");
  l.release("c");
  EXPECT_EQ(l.core.owed(), 0);
  EXPECT_EQ(l.wallet(), 8);
  EXPECT_EQ(l.in(account_book::revenue), credits(2));
}

TEST(LedgerCore, AHoldOfTheRoundedUpAmountAlwaysCoversWhatAMeterSettles) {
  for (micro_credits owed : {0, 1, 500'000, 999'999})
    for (micro_credits exact : {1, 499'999, 500'000, 999'999, 1'000'000, 1'000'001}) {
      Ledger l;
      l.grant(10);
      l.hold("first", 1);
      l.meter("first", "0", owed);
      l.move({{"hold", round_up_to_credit(exact), "second", {}, {}, {}}});
      EXPECT_NE(l.meter("second", "0", exact).size(), 0u);
      EXPECT_EQ(l.core.owed(), (owed + exact) % micro_per_credit);
    }
}

TEST(LedgerCore, ReadsJournalsAndSnapshotsFromBeforeItKeptSevenBooks) {
  auto old = json::parse(R"({"t":"transferred","id":1,"kind":"grant","amount":5000000,"job":"","stage":"",
                             "period":"","note":"by admin","at":7})");
  Ledger l;
  l.core.evolve(old.get<transferred>());
  EXPECT_EQ(l.wallet(), 5);
  auto state = json::parse(R"({"books":{"wallet":3000000,"held":2000000,"revenue":0,"grants":-5000000},
    "holds":{"j":{"left":2000000,"captured":["0"]}},"period":"","given_in_period":0,"transfers":2})");
  l.core = ledger_core::from_json(state);
  EXPECT_EQ(l.capture("j", "1", 2), "1");
  EXPECT_EQ(l.core.balance(account_book::revenue), credits(2));
}

/// Goal: no order of movements breaks a promise, and a snapshot is as good as the events. Method: a seed draws
/// thousands of movements; after each the invariants hold and a restored snapshot equals the live core.
class LedgerFuzz : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(LedgerFuzz, KeepsItsPromisesInAnyOrder) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  std::mt19937 random(GetParam());
  const char* kinds[] = {"hold",  "capture",  "release", "grant",         "allowance", "meter",
                         "topup", "reversal", "refund",  "reinstatement", "nonsense"};
  Ledger l;
  for (int i = 0; i < 2000; ++i) {
    std::vector<transfer> asked;
    for (auto n = 1 + random() % 3; n > 0; --n)
      asked.push_back({kinds[random() % 11],
                       static_cast<micro_credits>(random() % 20'000'000) - 1'000'000,
                       "j" + std::to_string(random() % 5),
                       std::to_string(random() % 3),
                       "2026-0" + std::to_string(1 + random() % 9),
                       {},
                       std::to_string(random() % 50),
                       "k" + std::to_string(random() % 3),
                       credits(random() % 3 == 0 ? 0 : 40)});
    l.move(asked);
    EXPECT_EQ(ledger_core::from_json(l.core.to_json()).to_json(), l.core.to_json());
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, LedgerFuzz, ::testing::Range(1u, 11u));

} // namespace
} // namespace troupe::ledger
