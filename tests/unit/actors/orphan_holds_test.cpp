#include "actors/ledger/orphan_holds.hpp"

#include "common/json.hpp"
#include "tests/support/database.hpp"

#include <gtest/gtest.h>

namespace troupe::ledger {
namespace {

struct OrphanHolds : storage::testing::storage_test {
  void hold(const std::string& account, const std::string& job, timestamp at, bool open) {
    storage::batch batch;
    batch.rows.push_back(
        {storage::table::open_holds, storage::key_of(account, job), pack({{"amount", 1}, {"at", at}}), false});
    if (open)
      batch.rows.push_back({storage::table::open_jobs, job, pack(account), false});
    ASSERT_EQ(storage::testing::write(*db, std::move(batch)), storage::commit_status::ok);
  }
};

TEST_F(OrphanHolds, AreThoseWhoseJobIsNotOpenAndThatAreOldEnough) {
  hold("alice", "works", 100, true);
  hold("alice", "gone", 100, false);
  hold("bob", "just-made", 900, false);
  auto found = orphan_holds(*db, 500, 10);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].account, "alice");
  EXPECT_EQ(found[0].job, "gone");
}

TEST_F(OrphanHolds, AreNoMoreThanAskedFor) {
  for (int i = 0; i < 5; ++i)
    hold("alice", "gone" + std::to_string(i), 100, false);
  EXPECT_EQ(orphan_holds(*db, 500, 3).size(), 3u);
}

} // namespace
} // namespace troupe::ledger
