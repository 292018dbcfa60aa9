#include "tests/support/database.hpp"

#include <gmock/gmock.h>
#include <rocksdb/write_batch.h>

#include <fstream>

namespace troupe::storage::testing {

using enum commit_status;

class damage_test : public storage_test {
protected:
  // Flips bits in the first data block of each table file; the newest rows have moved there at the last start.
  void damage_tables() {
    db.reset();
    open();
    db.reset();
    for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "data" / "db")) {
      if (entry.path().extension() != ".sst")
        continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(12);
      file.write("\x5a\x5a\x5a\x5a", 4);
    }
  }
};

TEST_F(damage_test, a_damaged_block_is_an_error_and_never_other_data) {
  write(*db, events_of("a/1", 1, {"one", "two"}) + put(table::usernames, "ada", "1"));
  damage_tables();
  auto opened = database::open(in(folder));
  if (!opened) { // what is read at the start was hit, too
    EXPECT_EQ(opened.error().code, "corrupt") << opened.error().message;
    return;
  }
  auto found = (*opened)->journal().replay("a/1");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, "corrupt");
  EXPECT_EQ(write(**opened, events_of("a/1", 3, {"three"})), failed);
  EXPECT_EQ(write(**opened, claim(table::usernames, "ada", "2")), failed);
}

class record_test : public ::testing::Test {
protected:
  void SetUp() override {
    store_options options;
    options.directory = folder.path() / "db";
    auto opened = store::open(options);
    ASSERT_TRUE(opened) << opened.error().message;
    disk = std::move(*opened);
    journal.emplace(*disk, journal_limits{});
  }
  void overwrite(column where, const std::string& key, const std::string& value) {
    ASSERT_TRUE(disk->db().Put({}, disk->handle(where), key, value).ok());
  }

  temporary_folder folder;
  std::unique_ptr<store> disk;
  std::optional<journal_thread> journal;
};

TEST_F(record_test, a_snapshot_of_a_newer_version_or_cut_short_is_said_to_be_so) {
  overwrite(column::snapshots, "a/1", std::string(1, 2) + "from the future");
  EXPECT_EQ(journal->replay("a/1").error().code, "newer");
  overwrite(column::snapshots, "a/1", std::string(1, 1) + "short");
  EXPECT_EQ(journal->replay("a/1").error().code, "corrupt");
  overwrite(column::snapshots, "a/1", "");
  EXPECT_EQ(journal->replay("a/1").error().code, "corrupt");
}

TEST_F(record_test, a_missing_event_is_corruption) {
  overwrite(column::events, key_of("a/1", 1), "1");
  overwrite(column::events, key_of("a/1", 3), "3");
  auto found = journal->replay("a/1");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, "corrupt");
  EXPECT_NE(found.error().message.find("event 2 of a/1"), std::string::npos) << found.error().message;
}

} // namespace troupe::storage::testing
