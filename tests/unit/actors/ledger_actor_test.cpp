#include "actors/ledger/ledger_actor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/slow_journal.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing::deterministic_system;
using testing::slow_journal;

struct LedgerActor : ::testing::Test {
  slow_journal disk;
  actor_board board;
  deterministic_system cluster;

  // What waits for the disk keeps its actor, and the system waits for all actors.
  void TearDown() override {
    disk.let_go();
    cluster.scheduler.run();
  }

  caf::actor ledger() {
    auto past = disk.replay("ledger/alice");
    return cluster.system.spawn<ledger_actor>(std::ref(board), std::ref(disk), std::string{"alice"}, std::move(*past),
                                              disk.feed_ids["alice"]);
  }
  static book request(std::vector<movement> movements) {
    book out;
    out.account = "alice";
    out.at = 1000;
    out.movements = std::move(movements);
    return out;
  }
  static movement grant(std::int64_t n) { return {"grant", credits(n), {}, {}, {}, {}}; }
  static movement hold(const char* job, std::int64_t n) { return {"hold", credits(n), job, {}, {}, {}}; }
};

TEST_F(LedgerActor, WritesMoneyRowsEventsAndFeedInOneBatch) {
  auto who = ledger();
  cluster.ask(who, request({grant(100)}));
  auto both = request({hold("j", 30)});
  both.attached.rows.push_back({storage::table::jobs, "j", "queued", false});
  both.attached.appends.push_back({"job/j", 1, {"submitted"}});
  both.feed = {"state"};
  auto answer = cluster.ask(who, std::move(both));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->balance, credits(70));
  EXPECT_EQ(answer->first_feed_id, 1u);
  const auto& batch = disk.written.back();
  EXPECT_EQ(batch.appends.size(), 2u);
  EXPECT_EQ(batch.rows.size(), 2u); // the job, and that it holds
  EXPECT_EQ(batch.feeds.size(), 1u);
}

/// Goal: a ledger with many open holds does not write them all again and again. Method: six thousand jobs hold; what
/// all snapshots weigh is compared with what the events do.
TEST_F(LedgerActor, SnapshotsCostAboutWhatTheEventsDo) {
  auto who = ledger();
  ASSERT_TRUE(cluster.ask(who, request({grant(10'000)})));
  for (int i = 0; i < 6'000; ++i)
    ASSERT_TRUE(cluster.ask(who, request({hold(("job" + std::to_string(i)).c_str(), 1)})));
  std::size_t events = 0, snapshots = 0, count = 0;
  for (const auto& batch : disk.written) {
    for (const auto& a : batch.appends)
      for (const auto& e : a.events)
        events += e.size();
    for (const auto& s : batch.snapshots)
      snapshots += s.state.size(), ++count;
  }
  EXPECT_GE(count, 3u);
  EXPECT_LE(snapshots, 2 * events); // one in 256 events would be twelve times as much
  auto again = ledger();            // a second activation goes on from the newest
  auto answer = cluster.ask(again, read_books{"alice"});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->held, credits(6'000));
}

TEST_F(LedgerActor, AnswersNobodyBeforeTheDiskKnows) {
  auto who = ledger();
  disk.stopped = true;
  cluster.self->send(who, request({grant(100)}));
  cluster.scheduler.run();
  auto early = cluster.ask(who, read_books{"alice"});
  EXPECT_FALSE(early);
  EXPECT_TRUE(disk.written.empty());
}

TEST_F(LedgerActor, RefusesAndWritesNothingWhenTheWalletIsShort) {
  auto who = ledger();
  auto answer = cluster.ask(who, request({hold("j", 30)}));
  ASSERT_FALSE(answer);
  auto why = read_refusal(answer.error());
  EXPECT_EQ(why.why, refusal::insufficient_credits);
  EXPECT_EQ(why.context["cost"], 30);
  EXPECT_EQ(why.context["balance"], 0);
  EXPECT_TRUE(disk.written.empty());
}

TEST_F(LedgerActor, ATopupLeavesARowThatRemembersItsReference) {
  auto who = ledger();
  auto topup = request({{"topup", credits(50), {}, {}, {}, {}, "pay_1"}});
  auto first = cluster.ask(who, topup);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->transfers, 1u);
  EXPECT_EQ(first->moved, credits(50));
  ASSERT_EQ(disk.written.back().rows.size(), 1u);
  EXPECT_TRUE(disk.written.back().rows.front().only_if_absent);
  auto again = cluster.ask(who, topup);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->transfers, 0u);
  EXPECT_EQ(again->balance, credits(50));
}

TEST_F(LedgerActor, WritesWhatTellsOfMoneyOnlyWhenMoneyMoves) {
  auto who = ledger();
  auto ask = [&] {
    auto refund = request({{"refund", credits(5), {}, {}, {}, "dark", "case-1"}});
    refund.if_moved.push_back({storage::table::audit, "when", "told", true});
    return cluster.ask(who, std::move(refund));
  };
  auto first = ask();
  ASSERT_TRUE(first);
  EXPECT_EQ(disk.written.back().rows.size(), 2u) << "the reference, and what is told";
  auto batches = disk.written.size();
  auto again = ask();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->transfers, 0u);
  EXPECT_EQ(disk.written.size(), batches);
}

TEST_F(LedgerActor, SaysWhatAKeyHasLeft) {
  auto who = ledger();
  cluster.ask(who, request({grant(100)}));
  auto refused = cluster.ask(who, request({{"hold", credits(30), "j", {}, {}, {}, {}, "k", credits(20)}}));
  ASSERT_FALSE(refused);
  auto why = read_refusal(refused.error());
  EXPECT_EQ(why.why, refusal::spend_limit_exceeded);
  EXPECT_EQ(why.context["key_balance"], 20);
  cluster.ask(who, request({{"hold", credits(15), "j", {}, {}, {}, {}, "k", credits(20)}}));
  auto now = cluster.ask(who, read_books{"alice", "k"});
  ASSERT_TRUE(now);
  EXPECT_EQ(now->key_held, credits(15));
}

TEST_F(LedgerActor, LeavesWhenTheDiskFailsAndComesBackWithWhatIsThere) {
  auto who = ledger();
  cluster.ask(who, request({grant(100)}));
  disk.next_status = storage::commit_status::failed;
  auto failed = cluster.ask(who, request({hold("j", 30)}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(read_refusal(failed.error()).why, refusal::unavailable);
  disk.next_status = storage::commit_status::ok;
  EXPECT_FALSE(cluster.ask(who, read_books{"alice"})); // it has left
  auto books_now = cluster.ask(ledger(), read_books{"alice"});
  ASSERT_TRUE(books_now);
  EXPECT_EQ(books_now->balance, credits(100));
  EXPECT_EQ(books_now->held, 0);
}

TEST_F(LedgerActor, AnswersWhoMovesNothingThoughTheDiskIsFull) {
  auto who = ledger();
  cluster.ask(who, request({grant(100)}));
  disk.next_status = storage::commit_status::full;
  auto now = cluster.ask(who, request({}));
  ASSERT_TRUE(now);
  EXPECT_EQ(now->balance, credits(100));
  EXPECT_FALSE(cluster.ask(who, request({hold("j", 30)})));
}

TEST_F(LedgerActor, NumbersTheFeedDenselyAcrossActivations) {
  auto first = request({grant(1)});
  first.feed = {"a", "b"};
  cluster.ask(ledger(), std::move(first));
  auto second = request({grant(1)});
  second.feed = {"c"};
  auto answer = cluster.ask(ledger(), std::move(second));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->first_feed_id, 3u);
}

TEST_F(LedgerActor, ASecondActivationCannotWrite) {
  auto one = ledger(), other = ledger();
  ASSERT_TRUE(cluster.ask(one, request({grant(1)})));
  EXPECT_FALSE(cluster.ask(other, request({grant(1)})));
}

TEST_F(LedgerActor, IsSeenOnTheBoardWithItsCounters) {
  auto who = ledger();
  cluster.ask(who, request({grant(1)}));
  auto entry = board.find("ledger", "alice");
  ASSERT_TRUE(entry);
  EXPECT_GE(entry->handled.load(), 1u);
  auto state = cluster.ask<description>(who, inspect_actor{"test"});
  ASSERT_TRUE(state);
  EXPECT_EQ(state->value["books"]["wallet"], credits(1));
}

} // namespace
} // namespace troupe
