#include "actors/ledger/orphan_holds.hpp"

#include "common/json.hpp"
#include "common/random.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>

namespace troupe::ledger {
namespace {

struct OrphanHolds : ::testing::Test {
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("troupe-orphans-" + random_hex(6));
  std::unique_ptr<storage::database> database;

  void SetUp() override {
    storage::database_options options;
    options.directory = folder;
    options.cache_mib = 8;
    auto opened = storage::database::open(options);
    ASSERT_TRUE(opened);
    database = std::move(*opened);
  }
  void TearDown() override {
    database.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  void hold(const std::string& account, const std::string& job, timestamp at, bool open) {
    storage::batch batch;
    batch.rows.push_back(
        {storage::table::open_holds, storage::key_of(account, job), pack({{"amount", 1}, {"at", at}}), false});
    if (open)
      batch.rows.push_back({storage::table::open_jobs, job, pack(account), false});
    std::promise<storage::commit_status> done;
    database->journal().commit(std::move(batch), [&](auto status) { done.set_value(status); });
    ASSERT_EQ(done.get_future().get(), storage::commit_status::ok);
  }
};

TEST_F(OrphanHolds, AreThoseWhoseJobIsNotOpenAndThatAreOldEnough) {
  hold("alice", "works", 100, true);
  hold("alice", "gone", 100, false);
  hold("bob", "just-made", 900, false);
  auto found = orphan_holds(*database, 500, 10);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].account, "alice");
  EXPECT_EQ(found[0].job, "gone");
}

TEST_F(OrphanHolds, AreNoMoreThanAskedFor) {
  for (int i = 0; i < 5; ++i)
    hold("alice", "gone" + std::to_string(i), 100, false);
  EXPECT_EQ(orphan_holds(*database, 500, 3).size(), 3u);
}

} // namespace
} // namespace troupe::ledger
