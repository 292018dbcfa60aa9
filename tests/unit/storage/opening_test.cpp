#include "tests/support/database.hpp"
#include "tests/unit/storage/process.hpp"

#include <gmock/gmock.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace troupe::storage::testing {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using enum commit_status;

namespace {

failure failing_open(const database_options& options) {
  auto opened = database::open(options);
  EXPECT_FALSE(opened);
  return opened ? failure{} : opened.error();
}

failure failing_open(const open_options& options) {
  auto opened = open_database(options);
  EXPECT_FALSE(opened);
  return opened ? failure{} : opened.error();
}

} // namespace

TEST(opening_test, a_directory_that_is_not_there_is_made_for_its_owner_alone) {
  temporary_folder folder;
  auto options = in(folder);
  options.directory = folder.path() / "several" / "levels";
  auto opened = database::open(options);
  ASSERT_TRUE(opened) << opened.error().message;
  struct stat found {};
  ASSERT_EQ(::stat(options.directory.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
}

TEST(opening_test, a_path_that_cannot_be_a_directory_is_an_error) {
  temporary_folder folder;
  auto options = in(folder);
  std::ofstream{options.directory} << "a file";
  EXPECT_EQ(failing_open(options).code, "io");
}

TEST(opening_test, a_second_opening_in_the_same_process_is_refused) {
  temporary_folder folder;
  auto first = database::open(in(folder));
  ASSERT_TRUE(first);
  EXPECT_THAT(failing_open(in(folder)).message, HasSubstr("process " + std::to_string(::getpid())));
  first->reset();
  EXPECT_TRUE(database::open(in(folder)));
}

TEST(opening_test, another_process_is_named_and_its_death_frees_the_directory) {
  temporary_folder folder;
  auto options = in(folder);
  process holder{TROUPE_CRASH_WRITER, {options.directory.string(), "hold"}};
  ASSERT_EQ(holder.line(20'000), "ready");
  auto refused = failing_open(options);
  EXPECT_EQ(refused.code, "locked");
  EXPECT_EQ(refused.message, "data directory " + options.directory.string() + " is in use by process " +
                                 std::to_string(holder.id()) + "; stop it or use another --data");
  holder.kill();
  EXPECT_TRUE(database::open(options));
}

TEST(opening_test, the_epoch_counts_the_openings) {
  temporary_folder folder;
  for (std::uint64_t expected = 1; expected <= 3; ++expected)
    EXPECT_EQ((*database::open(in(folder)))->epoch(), expected);
}

TEST(opening_test, numbers_of_a_sequence_start_at_one_and_are_never_given_twice) {
  temporary_folder folder;
  std::uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    auto db = std::move(*database::open(in(folder)));
    for (int i = 0; i < 1200; ++i) {
      auto number = db->next_number("jobs");
      ASSERT_GT(number, last);
      last = number;
    }
  }
  auto db = std::move(*database::open(in(folder)));
  EXPECT_EQ(db->next_number("others"), 1u);
  EXPECT_EQ(db->next_number("others"), 2u);
}

TEST(opening_test, threads_share_a_sequence_without_a_gap) {
  temporary_folder folder;
  auto db = std::move(*database::open(in(folder)));
  std::vector<std::atomic<int>> given(4001);
  std::vector<std::thread> all;
  for (int t = 0; t < 4; ++t)
    all.emplace_back([&] {
      for (int i = 0; i < 1000; ++i)
        ++given.at(db->next_number("jobs"));
    });
  for (auto& t : all)
    t.join();
  for (std::size_t i = 1; i < given.size(); ++i)
    ASSERT_EQ(given[i], 1) << i;
}

class migration_test : public ::testing::Test {
protected:
  migration step(std::uint32_t to, bool good = true) {
    return {to, "test", [=, this](const store& from, rocksdb::WriteBatch& changes) -> result<void> {
              ran.push_back(to);
              changes.Put(from.handle(column::tables), "\x01migrated", std::to_string(to));
              if (!good)
                return fail("broken", "step " + std::to_string(to) + " cannot be done");
              return {};
            }};
  }
  open_options with(std::uint32_t schema, std::vector<migration> steps) {
    auto out = opened_in(folder);
    out.schema = schema;
    out.steps = std::move(steps);
    return out;
  }

  temporary_folder folder;
  std::vector<std::uint32_t> ran;
};

TEST_F(migration_test, a_newer_schema_is_refused_with_both_versions) {
  ASSERT_TRUE(open_database(with(7, {})));
  auto refused = failing_open(in(folder));
  EXPECT_EQ(refused.code, "newer");
  EXPECT_THAT(refused.message, HasSubstr("schema 7"));
  EXPECT_THAT(refused.message, HasSubstr("up to " + std::to_string(schema_version)));
  EXPECT_EQ((*open_database(with(7, {})))->epoch(), 2u) << "the refused opening wrote nothing";
}

TEST_F(migration_test, a_newer_schema_with_column_families_of_its_own_is_refused_the_same) {
  ASSERT_TRUE(open_database(with(2, {})));
  store_options options;
  options.directory = in(folder).directory / "db";
  options.schema = 2;
  {
    auto disk = std::move(*store::open(options));
    rocksdb::ColumnFamilyHandle* added = nullptr;
    ASSERT_TRUE(disk->db().CreateColumnFamily({}, "added later", &added).ok());
    disk->db().DestroyColumnFamilyHandle(added);
  }
  EXPECT_EQ(failing_open(in(folder)).code, "newer");
}

TEST_F(migration_test, a_new_database_needs_no_migration) {
  ASSERT_TRUE(open_database(with(3, {step(2), step(3)})));
  EXPECT_TRUE(ran.empty());
}

TEST_F(migration_test, steps_run_in_order_and_once) {
  write(**open_database(with(1, {})), put(table::jobs, "1", "x"));
  {
    auto db = open_database(with(3, {step(3), step(2)}));
    ASSERT_TRUE(db) << db.error().message;
    EXPECT_THAT(ran, ElementsAre(2, 3));
    EXPECT_EQ((*db)->get(table::meta, "migrated"), "3");
    EXPECT_EQ((*db)->get(table::jobs, "1"), "x");
  }
  ASSERT_TRUE(open_database(with(3, {step(2), step(3)})));
  EXPECT_EQ(ran.size(), 2u);
}

TEST_F(migration_test, a_step_that_fails_leaves_the_schema_before_it) {
  ASSERT_TRUE(open_database(with(1, {})));
  EXPECT_EQ(failing_open(with(3, {step(2), step(3, false)})).code, "broken");
  auto db = open_database(with(2, {}));
  ASSERT_TRUE(db) << db.error().message;
  EXPECT_EQ((*db)->get(table::meta, "migrated"), "2");
}

TEST_F(migration_test, a_missing_step_is_an_error_that_says_which) {
  ASSERT_TRUE(open_database(with(1, {})));
  auto refused = failing_open(with(3, {step(3)}));
  EXPECT_EQ(refused.code, "no_migration");
  EXPECT_THAT(refused.message, HasSubstr("from schema 1 to 2"));
}

TEST(migrations, of_this_binary_lead_to_its_schema_without_a_gap) {
  std::uint32_t expected = 2;
  for (const auto& step : migrations())
    EXPECT_EQ(step.to, expected++);
  EXPECT_EQ(expected - 1, schema_version);
}

} // namespace troupe::storage::testing
