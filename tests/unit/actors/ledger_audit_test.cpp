#include "actors/base/event.hpp"
#include "actors/ledger/ledger_audit.hpp"
#include "actors/ledger/ledger_core.hpp"
#include "tests/support/database.hpp"

#include <gtest/gtest.h>

namespace troupe::ledger {
namespace {

/// A data directory whose books a test writes by hand: the journal takes what no ledger would.
struct LedgerAudit : storage::testing::storage_test {
  std::uint64_t seq = 0;
  ledger_core core;

  void write(storage::batch what) {
    ASSERT_EQ(storage::testing::write(*db, std::move(what)), storage::commit_status::ok);
  }
  storage::append event_of(transferred e) { return {"ledger/alice", ++seq, {pack_event(ledger::event{e})}}; }
  void damage(transferred e) {
    storage::batch batch;
    e.id = e.id == 0 ? seq + 1 : e.id;
    batch.appends.push_back(event_of(std::move(e)));
    write(std::move(batch));
  }
  static transferred transfer_of(std::string kind, micro_credits amount, std::string job = {}, std::string stage = {}) {
    transferred out;
    out.kind = std::move(kind);
    out.amount = amount;
    out.job = std::move(job);
    out.stage = std::move(stage);
    return out;
  }
  /// As the ledger does it, with the rows that belong to it.
  void move(std::vector<transfer> asked, bool with_rows = true) {
    auto verdict = core.decide(asked, 1000);
    ASSERT_TRUE(std::holds_alternative<std::vector<ledger::event>>(verdict));
    storage::batch batch;
    for (const auto& e : std::get<0>(verdict)) {
      core.evolve(e);
      const auto& made = std::get<transferred>(e);
      batch.appends.push_back(event_of(made));
      if (made.kind == "hold" && with_rows) {
        batch.rows.push_back(
            {storage::table::open_holds, storage::key_of("alice", made.job), pack(json::object()), false});
        batch.rows.push_back({storage::table::open_jobs, made.job, pack("alice"), false});
      }
      if (!made.reference.empty() && with_rows)
        batch.rows.push_back({storage::table::references,
                              storage::key_of(storage::key_of("alice", made.kind), made.reference), pack(made.id),
                              true});
    }
    write(std::move(batch));
  }
  void good_books() {
    move({{"topup", credits(100), {}, {}, {}, {}, "pay_1"}});
    move({{"hold", credits(30), "j", {}, {}, {}}});
    move({{"capture", credits(10), "j", "0", {}, {}}});
    move({{"meter", 1'500'000, "j", "1", {}, {}}});
  }
  void snapshot(const json& state) {
    storage::batch batch;
    batch.snapshots.push_back({"ledger/alice", seq, pack(state)});
    write(std::move(batch));
  }
  /// Looks while the database is open, as beside a running head.
  audit_report look() {
    auto from = storage::reader::open(folder.path() / "data");
    EXPECT_TRUE(from);
    auto found = audit(**from);
    EXPECT_TRUE(found);
    return *found;
  }
  std::string first_problem() {
    auto found = look();
    EXPECT_FALSE(found.good());
    return found.problems.empty() ? "none" : found.problems.front();
  }
};

TEST_F(LedgerAudit, FindsGoodBooksGoodWhileTheDatabaseIsOpen) {
  good_books();
  snapshot(core.to_json());
  auto found = look();
  EXPECT_TRUE(found.good()) << found.problems.front();
  EXPECT_EQ(found.accounts, 1u);
  EXPECT_EQ(found.transfers, 5u);
  EXPECT_EQ(found.open_holds, 1u);
  EXPECT_EQ(found.books["wallet"], credits(70));
  EXPECT_EQ(found.books["carry"], -500'000);
  EXPECT_EQ(found.sum(), 0);
}

TEST_F(LedgerAudit, SeesAChargeThatWasMadeTwice) {
  good_books();
  damage(transfer_of("capture", credits(10), "j", "0"));
  EXPECT_EQ(first_problem(), "account alice: transfer 6 (capture): stage 0 of job j was charged already");
}

TEST_F(LedgerAudit, SeesAChargeOfMoreThanWasHeld) {
  good_books();
  damage(transfer_of("capture", credits(20), "j", "2"));
  EXPECT_NE(first_problem().find("more than job j holds"), std::string::npos);
}

TEST_F(LedgerAudit, SeesMoneyThatWasNeverThere) {
  damage(transfer_of("hold", credits(5), "j"));
  EXPECT_NE(first_problem().find("leaves the wallet with -5000000"), std::string::npos);
}

TEST_F(LedgerAudit, SeesATransferThatIsMissing) {
  good_books();
  auto e = transfer_of("grant", 5);
  e.id = 9;
  damage(e);
  EXPECT_EQ(first_problem(), "account alice: transfer 9 (grant) follows transfer 5");
}

TEST_F(LedgerAudit, SeesASnapshotThatSaysSomethingElse) {
  good_books();
  auto state = core.to_json();
  state["books"]["wallet"] = credits(71);
  snapshot(state);
  EXPECT_NE(first_problem().find("71000000 micro-credits in wallet"), std::string::npos);
}

TEST_F(LedgerAudit, FollowsAReversalThatIsCompletedAndGivenBack) {
  good_books();
  move({{"reversal", credits(100), {}, {}, {}, {}, "dp_1"}});
  snapshot(core.to_json());
  EXPECT_TRUE(look().good()) << look().problems.front();
  move({{"release", 0, "j", {}, {}, {}}});
  move({{"reinstatement", credits(70), {}, {}, {}, {}, "dp_1"}});
  storage::batch batch;
  batch.rows.push_back({storage::table::open_holds, storage::key_of("alice", "j"), std::nullopt, false});
  write(std::move(batch));
  EXPECT_TRUE(look().good()) << look().problems.front();
}

TEST_F(LedgerAudit, SeesAReversalThatTakesMoreThanItHadLeft) {
  good_books();
  auto rest = transfer_of("reversal", credits(5));
  rest.completes = "dp_1";
  damage(rest);
  EXPECT_NE(first_problem().find("takes 5000000 micro-credits more than reversal dp_1 had left"), std::string::npos);
}

TEST_F(LedgerAudit, SeesAReversalThatLeavesMoreThanIsHeld) {
  good_books();
  auto all = transfer_of("reversal", credits(70));
  all.reference = "dp_1";
  all.outstanding = credits(30); // 19 are held
  damage(all);
  EXPECT_NE(first_problem().find("more than is held"), std::string::npos);
}

TEST_F(LedgerAudit, SeesADisputeThatGivesBackWhatItNeverTook) {
  good_books();
  move({{"reversal", credits(20), {}, {}, {}, {}, "dp_1"}});
  move({{"reinstatement", credits(50), {}, {}, {}, {}, "dp_1"}});
  EXPECT_NE(first_problem().find("gives back 50000000 micro-credits of a reversal that took 20000000"),
            std::string::npos);
}

TEST_F(LedgerAudit, SeesASnapshotThatForgetsWhatAReversalHadLeft) {
  good_books();
  move({{"reversal", credits(100), {}, {}, {}, {}, "dp_1"}});
  auto state = core.to_json();
  state["partial_reversals"] = json::array();
  snapshot(state);
  EXPECT_NE(first_problem().find("other partial reversals"), std::string::npos);
}

TEST_F(LedgerAudit, SeesAHoldWithoutAnOpenJob) {
  move({{"grant", credits(100), {}, {}, {}, {}}});
  move({{"hold", credits(30), "gone", {}, {}, {}}}, false);
  EXPECT_EQ(first_problem(), "account alice: job gone holds credits and is not open");
}

TEST_F(LedgerAudit, SeesAPaymentWhoseReferenceIsNotRemembered) {
  move({{"topup", credits(100), {}, {}, {}, {}, "pay_1"}}, false);
  EXPECT_NE(first_problem().find("the row of reference pay_1 is missing"), std::string::npos);
}

TEST_F(LedgerAudit, SeesAJobWhoseRowSaysAnotherCharge) {
  good_books();
  move({{"release", 0, "j", {}, {}, {}}});
  storage::batch batch;
  batch.rows.push_back({storage::table::jobs, "j", pack({{"charged", credits(3)}}), false});
  batch.rows.push_back({storage::table::open_holds, storage::key_of("alice", "j"), std::nullopt, false});
  write(std::move(batch));
  EXPECT_NE(first_problem().find("its row says 3000000 micro-credits"), std::string::npos);
}

} // namespace
} // namespace troupe::ledger
