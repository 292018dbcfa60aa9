#include "actors/account/account_actor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/slow_journal.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe {
namespace {

using storage::table;
using testing::deterministic_system;
using testing::slow_journal;

struct AccountActor : ::testing::Test {
  slow_journal disk;
  actor_board board;
  admin_roll admins;
  deterministic_system cluster;
  caf::actor alice;

  void SetUp() override {
    alice = again();
    create_account create;
    create.account = "alice";
    create.username = "alice";
    create.password_hash = "first";
    create.at = 1000;
    create.who = from();
    ASSERT_TRUE(cluster.ask(alice, std::move(create)));
  }
  // What waits for the disk keeps its actor, and the system waits for all actors.
  void TearDown() override {
    disk.let_go();
    cluster.scheduler.run();
  }

  caf::actor again() {
    auto past = disk.replay("account/alice");
    return cluster.system.spawn<account_actor>(std::ref(board), std::ref(disk), std::ref(admins), std::string{"alice"},
                                               std::move(*past));
  }
  static asker from() { return {"alice", "session", "192.0.2.7", "request-1"}; }

  open_session login(std::string token, std::string verified) {
    open_session out;
    out.account = "alice";
    out.token_hash = std::move(token);
    out.verified = std::move(verified);
    out.at = 2000;
    out.expires_at = 900'000;
    out.who = from();
    return out;
  }
  set_password password(std::string verified, std::string now, std::string kept = {}) {
    set_password out;
    out.account = "alice";
    out.verified = std::move(verified);
    out.password_hash = std::move(now);
    out.kept = std::move(kept);
    out.at = 3000;
    out.who = from();
    return out;
  }
  issue_token token(std::string hash) {
    issue_token out;
    out.account = "alice";
    out.kind = "reset";
    out.token_hash = std::move(hash);
    out.at = 4000;
    out.expires_at = 4000 + 3'600'000;
    out.who = from();
    return out;
  }
  redeem_token use(std::string hash, timestamp at) {
    redeem_token out;
    out.account = "alice";
    out.kind = "reset";
    out.token_hash = std::move(hash);
    out.password_hash = "by reset";
    out.at = at;
    out.who = from();
    return out;
  }
  /// The kinds of audit events in the last batch.
  std::vector<std::string> told() const {
    std::vector<std::string> out;
    for (const auto& row : disk.written.back().rows)
      if (row.in == table::audit)
        out.push_back(unpack(*row.value)->value("kind", std::string{}));
    return out;
  }
  bool removed(table from, const std::string& key) const {
    const auto& rows = disk.written.back().rows;
    return std::any_of(rows.begin(), rows.end(),
                       [&](const auto& row) { return row.in == from && row.key == key && !row.value; });
  }
};

TEST_F(AccountActor, writes_what_happened_and_its_audit_row_in_one_batch) {
  ASSERT_TRUE(cluster.ask(alice, login("s1", "first")));
  EXPECT_EQ(told(), std::vector<std::string>{"login"});
  EXPECT_EQ(disk.written.back().appends.size(), 1u);
  for (const auto& row : disk.written.back().rows)
    if (row.in == table::audit) {
      auto entry = *unpack(*row.value);
      EXPECT_EQ(entry.value("address", ""), "192.0.2.7");
      EXPECT_EQ(entry.value("request_id", ""), "request-1");
      EXPECT_EQ(entry.value("by", ""), "alice");
      EXPECT_TRUE(row.only_if_absent) << "the log is only ever added to";
    }
}

TEST_F(AccountActor, opens_no_session_for_a_password_that_was_changed_while_it_was_checked) {
  ASSERT_TRUE(cluster.ask(alice, password("first", "second")));
  auto late = cluster.ask(alice, login("s1", "first"));
  ASSERT_FALSE(late);
  EXPECT_EQ(read_refusal(late.error()).why, refusal::forbidden);
  EXPECT_TRUE(cluster.ask(alice, login("s2", "second")));
}

TEST_F(AccountActor, of_two_changes_of_one_password_the_second_is_refused) {
  ASSERT_TRUE(cluster.ask(alice, password("first", "second")));
  auto other = cluster.ask(alice, password("first", "third"));
  ASSERT_FALSE(other);
  EXPECT_EQ(read_refusal(other.error()).why, refusal::conflict);
}

TEST_F(AccountActor, a_new_password_ends_all_sessions_but_the_askers_in_the_same_batch) {
  cluster.ask(alice, login("s1", "first"));
  cluster.ask(alice, login("s2", "first"));
  auto done = cluster.ask(alice, password("first", "second", "s1"));
  ASSERT_TRUE(done);
  EXPECT_EQ(done->sessions.size(), 1u);
  EXPECT_TRUE(removed(table::sessions, "s2"));
  EXPECT_FALSE(removed(table::sessions, "s1"));
  EXPECT_EQ(told(), std::vector<std::string>{"password_changed"});
}

TEST_F(AccountActor, a_new_password_ends_every_token_in_the_same_batch) {
  auto moving = token("t1");
  moving.kind = "email";
  moving.email = "thief@example.org";
  ASSERT_TRUE(cluster.ask(alice, std::move(moving)));
  ASSERT_TRUE(cluster.ask(alice, token("t2")));
  ASSERT_TRUE(cluster.ask(alice, password("first", "second")));
  EXPECT_TRUE(removed(table::account_tokens, "t1")) << "with it the account could be taken back";
  EXPECT_TRUE(removed(table::account_tokens, "t2"));
}

TEST_F(AccountActor, who_ends_all_sessions_ends_the_tokens_for_another_address) {
  auto moving = token("t1");
  moving.kind = "email";
  ASSERT_TRUE(cluster.ask(alice, std::move(moving)));
  ASSERT_TRUE(cluster.ask(alice, token("t2")));
  end_sessions all;
  all.account = "alice";
  all.at = 5000;
  ASSERT_TRUE(cluster.ask(alice, std::move(all)));
  EXPECT_TRUE(removed(table::account_tokens, "t1"));
  EXPECT_FALSE(removed(table::account_tokens, "t2")) << "that went to the address that is confirmed";
}

TEST_F(AccountActor, the_last_admin_stays_one_and_a_failing_disk_forgets_none) {
  auto change = [&](std::string role, std::string disabled) {
    change_account out;
    out.account = "alice";
    out.role = std::move(role);
    out.disabled = std::move(disabled);
    out.at = 5000;
    return cluster.ask(alice, std::move(out));
  };
  ASSERT_TRUE(change("admin", ""));
  EXPECT_TRUE(admins.is_last("alice"));
  for (auto [role, disabled] : {std::pair{"user", ""}, std::pair{"", "yes"}}) {
    auto refused = change(role, disabled);
    ASSERT_FALSE(refused);
    EXPECT_EQ(read_refusal(refused.error()).why, refusal::conflict);
  }
  delete_account end;
  end.account = "alice";
  end.verified = "first";
  EXPECT_FALSE(cluster.ask(alice, std::move(end)));
  admins.enter("bob");
  disk.next_status = storage::commit_status::full;
  EXPECT_FALSE(change("user", ""));
  disk.next_status = storage::commit_status::ok;
  EXPECT_TRUE(admins.leave("bob")) << "alice is one still";
  EXPECT_TRUE(admins.is_last("alice"));
  admins.enter("bob");
  alice = again();
  ASSERT_TRUE(change("user", ""));
  EXPECT_TRUE(removed(table::admins, "alice"));
  EXPECT_TRUE(admins.is_last("bob"));
}

TEST_F(AccountActor, a_profile_that_does_not_change_is_no_event) {
  change_profile same;
  same.account = "alice";
  same.changes = {{"theme", "dark"}, {"bio", ""}};
  ASSERT_TRUE(cluster.ask(alice, std::move(same)));
  EXPECT_TRUE(disk.written.back().appends.empty());
}

TEST_F(AccountActor, a_token_works_once_and_not_after_its_time_also_after_a_restart) {
  ASSERT_TRUE(cluster.ask(alice, token("t1")));
  ASSERT_TRUE(cluster.ask(alice, token("t2")));
  auto back = again();
  EXPECT_FALSE(cluster.ask(back, use("t1", 4000 + 3'600'000))) << "an hour is over";
  EXPECT_FALSE(cluster.ask(back, use("t3", 5000)));
  ASSERT_TRUE(cluster.ask(back, use("t1", 5000)));
  EXPECT_TRUE(removed(table::account_tokens, "t1"));
  EXPECT_TRUE(removed(table::account_tokens, "t2")) << "the others are useless too";
  EXPECT_FALSE(cluster.ask(back, use("t1", 5001)));
  EXPECT_FALSE(cluster.ask(back, use("t2", 5001)));
}

TEST_F(AccountActor, answers_nobody_and_keeps_nothing_when_the_disk_does_not_take_it) {
  disk.stopped = true;
  EXPECT_FALSE(cluster.ask(alice, password("first", "second")));
  EXPECT_EQ(disk.written.size(), 1u) << "the signup";
}

TEST_F(AccountActor, of_a_deleted_account_every_door_goes_and_the_past_is_erased_in_one_batch) {
  cluster.ask(alice, login("s1", "first"));
  cluster.ask(alice, token("t1"));
  create_key key;
  key.account = "alice";
  key.key = "k1";
  key.key_hash = "hash-of-k1";
  key.at = 2000;
  ASSERT_TRUE(cluster.ask(alice, std::move(key)));
  delete_account end;
  end.account = "alice";
  end.verified = "first";
  end.at = 9000;
  end.who = from();
  ASSERT_TRUE(cluster.ask(alice, end));
  EXPECT_TRUE(removed(table::sessions, "s1"));
  EXPECT_TRUE(removed(table::account_tokens, "t1"));
  EXPECT_TRUE(removed(table::api_keys, "hash-of-k1"));
  EXPECT_TRUE(removed(table::accounts, "alice"));
  EXPECT_TRUE(removed(table::usernames, "alice"));
  EXPECT_TRUE(removed(table::subscriptions, "alice"));
  const auto& batch = disk.written.back();
  ASSERT_EQ(batch.erasures.size(), 2u);
  EXPECT_EQ(batch.erasures.front().name, "account/alice");
  ASSERT_EQ(batch.snapshots.size(), 1u);
  EXPECT_EQ(told(), std::vector<std::string>{"account_deleted"});
  EXPECT_FALSE(cluster.ask(alice, login("s2", "first")));
  EXPECT_FALSE(cluster.ask(alice, end)) << "twice";
}

TEST_F(AccountActor, a_failed_login_of_nobody_is_told_and_makes_no_account) {
  note_security note;
  note.account = "alice";
  note.kind = "login_failed";
  note.at = 5000;
  note.who = {"", "", "192.0.2.9", "request-2"};
  ASSERT_TRUE(cluster.ask(alice, std::move(note)));
  EXPECT_EQ(told(), std::vector<std::string>{"login_failed"});
  EXPECT_TRUE(disk.written.back().appends.empty());
}

} // namespace
} // namespace troupe
