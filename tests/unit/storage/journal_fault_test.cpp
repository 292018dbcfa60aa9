#include "tests/support/database.hpp"
#include "tests/unit/storage/faulty_disk.hpp"

#include <gmock/gmock.h>

#include <random>

namespace troupe::storage::testing {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using enum commit_status;
using fault = faulty_disk::fault;
using where = faulty_disk::where;
using when = faulty_disk::when;

class journal_fault_test : public ::testing::Test {
protected:
  void open() {
    db.reset();
    auto options = opened_in(folder);
    options.disk = disk;
    options.journal.recovery_interval_ms = 50;
    auto opened = open_database(options);
    ASSERT_TRUE(opened) << opened.error().message;
    db = std::move(*opened);
  }
  void SetUp() override { open(); }
  bool recovers() {
    return eventually([&] { return db->journal().counters().disk == ok; });
  }
  std::uint64_t last(const std::string& actor) { return db->journal().replay(actor)->last_seq; }

  /// Of the newest file of the write-ahead log.
  std::uint64_t log_bytes() const {
    std::filesystem::path newest;
    for (const auto& file : std::filesystem::directory_iterator(folder.path() / "data" / "db"))
      if (file.path().extension() == ".log" && file.path().filename() > newest.filename())
        newest = file.path();
    return newest.empty() ? 0 : std::filesystem::file_size(newest);
  }

  temporary_folder folder;
  std::shared_ptr<faulty_disk> disk = std::make_shared<faulty_disk>();
  std::unique_ptr<database> db;
};

struct failing_case {
  const char* name;
  fault how;
  where place;
  when moment;
  commit_status answer;
};

class every_failure : public journal_fault_test, public ::testing::WithParamInterface<failing_case> {};

// Goal: an answer that is not `ok` leaves nothing, and writing goes on by itself. Method: break the disk in each way,
// twice, so that the second failure meets a fresh write-ahead log and empty memory tables; then restart.
TEST_P(every_failure, is_answered_leaves_nothing_and_passes) {
  auto [name, how, place, moment, answer] = GetParam();
  std::uint64_t seq = 0;
  for (int round = 0; round < 3; ++round) {
    disk->fail(how, place, moment);
    auto lost =
        events_of("a/1", seq + 1, {"lost"}) + put(table::jobs, "lost", "x") + entries_of("a", seq + 1, {"lost"});
    EXPECT_EQ(write(*db, lost), answer) << round;
    EXPECT_EQ(write(*db, lost), answer) << "as long as it lasts";
    EXPECT_EQ(db->journal().counters().disk, answer);
    EXPECT_EQ(last("a/1"), seq);
    EXPECT_EQ(db->feed_last({"a"}), seq);
    EXPECT_FALSE(db->get(table::jobs, "lost"));
    disk->mend();
    ASSERT_TRUE(recovers()) << round;
    if (round == 1)
      continue; // the log that is new is hit by its first record
    ++seq;
    EXPECT_EQ(write(*db, events_of("a/1", seq, {"kept"}) + entries_of("a", seq, {"kept"})), ok) << round;
  }
  for (int restart = 0; restart < 2; ++restart) {
    EXPECT_THAT(db->journal().replay("a/1")->events, ElementsAre("kept", "kept"));
    EXPECT_EQ(db->feed_last({"a"}), 2u);
    EXPECT_FALSE(db->get(table::jobs, "lost"));
    open();
  }
}

INSTANTIATE_TEST_SUITE_P(
    disk, every_failure,
    ::testing::Values(failing_case{"log_append", fault::io, where::log, when::append, failed},
                      failing_case{"log_torn", fault::io, where::log, when::torn_append, failed},
                      failing_case{"log_sync", fault::io, where::log, when::sync, failed},
                      failing_case{"all_append", fault::io, where::everywhere, when::append, failed},
                      failing_case{"all_sync", fault::io, where::everywhere, when::sync, failed},
                      failing_case{"full_log", fault::no_space, where::log, when::append, full},
                      failing_case{"full_log_torn", fault::no_space, where::log, when::torn_append, full},
                      failing_case{"full_everywhere", fault::no_space, where::everywhere, when::torn_append, full}),
    [](const auto& tested) { return std::string{tested.param.name}; });

TEST_F(journal_fault_test, a_failure_is_the_answer_of_the_whole_group) {
  write(*db, put(table::usernames, "ada", "1"));
  auto held_up = [&] {
    disk->fail(fault::io, where::log, when::sync);
    return write_together(
        *db, {events_of("a/1", 1, {"1"}), claim(table::usernames, "bob", "1"), claim(table::usernames, "bob", "2")});
  }();
  EXPECT_THAT(held_up, Each(failed)) << "also of the one that would have come second";
  disk->mend();
  ASSERT_TRUE(recovers());
  EXPECT_THAT(write_together(*db, {events_of("a/1", 1, {"1"}), claim(table::usernames, "bob", "2")}),
              ElementsAre(ok, ok));
}

TEST_F(journal_fault_test, rows_can_be_read_while_nothing_can_be_written) {
  write(*db, put(table::jobs, "1", "x") + events_of("a/1", 1, {"1"}));
  disk->fail(fault::no_space, where::everywhere, when::append);
  EXPECT_EQ(write(*db, put(table::jobs, "2", "x")), full);
  EXPECT_EQ(db->get(table::jobs, "1"), "x");
  EXPECT_EQ(last("a/1"), 1u);
}

TEST_F(journal_fault_test, a_disk_with_little_room_is_full_before_it_is_and_needs_a_little_more_to_recover) {
  constexpr std::uint64_t mib = 1 << 20;
  disk->set_room(63 * mib);
  EXPECT_EQ(write(*db, put(table::jobs, "1", "x")), full);
  EXPECT_EQ(db->journal().counters().disk, full);
  disk->set_room(70 * mib);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(write(*db, put(table::jobs, "1", "x")), full);
  disk->set_room(100 * mib);
  ASSERT_TRUE(recovers());
  EXPECT_EQ(write(*db, put(table::jobs, "1", "x")), ok);
}

TEST_F(journal_fault_test, no_feed_is_told_of_what_failed) {
  std::atomic<int> told = 0;
  db->journal().on_feed([&](const account_id&, std::uint64_t) { ++told; });
  disk->fail(fault::io, where::log, when::sync);
  EXPECT_EQ(write(*db, entries_of("a", 1, {"1"})), failed);
  EXPECT_EQ(told, 0);
}

TEST_F(journal_fault_test, a_sequence_gives_no_number_that_it_could_not_reserve) {
  EXPECT_EQ(db->next_number("jobs"), 1u);
  disk->fail(fault::no_space, where::log, when::append);
  EXPECT_EQ(db->next_number("jobs"), 2u) << "reserved before";
  EXPECT_EQ(db->next_number("other"), 0u);
  EXPECT_EQ(write(*db, put(table::jobs, "1", "x")), full);
  disk->mend();
  ASSERT_TRUE(recovers());
  EXPECT_EQ(db->next_number("other"), 1u);
}

TEST_F(journal_fault_test, closing_a_database_whose_disk_failed_ends) {
  disk->fail(fault::io, where::everywhere, when::append);
  std::atomic<int> answered = 0;
  for (int i = 0; i < 100; ++i)
    db->journal().commit(put(table::jobs, std::to_string(i), "x"), [&](commit_status s) { answered += s == failed; });
  db.reset();
  EXPECT_EQ(answered, 100);
}

TEST_F(journal_fault_test, every_group_is_synced_before_it_is_answered) {
  for (int i = 0; i < 5; ++i) {
    auto before = disk->syncs();
    ASSERT_EQ(write(*db, put(table::jobs, std::to_string(i), "x")), ok);
    EXPECT_GT(disk->syncs(), before);
  }
}

TEST_F(journal_fault_test, the_log_is_as_long_as_what_is_to_come_needs_until_it_is_closed) {
  constexpr std::uint64_t mib = 1 << 20;
  ASSERT_EQ(write(*db, put(table::jobs, "small", "x")), ok);
  EXPECT_EQ(log_bytes(), mib);
  ASSERT_EQ(write(*db, put(table::jobs, "large", std::string(3 * mib, 'x'))), ok);
  EXPECT_EQ(log_bytes(), 4 * mib);
  db.reset();
  EXPECT_GT(log_bytes(), 3 * mib);
  EXPECT_LT(log_bytes(), 3 * mib + 1000);
  open();
  EXPECT_EQ(db->get(table::jobs, "large")->size(), 3 * mib);
}

TEST_F(journal_fault_test, a_log_that_cannot_be_prepared_grows_as_it_is_written) {
  disk->set_random_writes(false);
  open();
  ASSERT_EQ(write(*db, put(table::jobs, "small", "x")), ok);
  EXPECT_LT(log_bytes(), 1000u);
  db.reset();
  disk->set_random_writes(true);
  open();
  EXPECT_EQ(db->get(table::jobs, "small"), "x");
}

// Goal: what was answered `ok` outlives a loss of power, and batches are whole. Method: load the journal, stop the disk
// in the middle, cut off what was not synced, start again.
TEST_F(journal_fault_test, what_was_acknowledged_outlives_a_loss_of_power) {
  std::mt19937_64 random{7};
  std::uint64_t next = 1;
  for (std::uint64_t round = 0; round < 12; ++round) {
    std::atomic<std::uint64_t> acknowledged = next - 1;
    auto until = next + random() % 300 + 20;
    for (; next < until; ++next) {
      eventually([&] { return next - acknowledged < 10 || db->journal().counters().disk != ok; });
      auto n = std::to_string(next);
      auto what = events_of("a/1", next, {n + std::string(random() % 2000, 'x')}) + entries_of("a", next, {n}) +
                  put(table::jobs, n, n);
      db->journal().commit(std::move(what), [&, mine = next](commit_status s) {
        if (s == ok)
          acknowledged = mine;
      });
      if (next + 15 == until)
        disk->fail(fault::io, where::everywhere, round % 2 ? when::torn_append : when::sync);
    }
    db.reset();
    disk->lose_power(round);
    disk->mend();
    open();
    auto found = last("a/1");
    EXPECT_GE(found, acknowledged) << round;
    EXPECT_EQ(db->feed_last({"a"}), found);
    EXPECT_GT(found, round * 5) << "the test writes something";
    EXPECT_EQ(db->get(table::jobs, std::to_string(found)), std::to_string(found));
    EXPECT_FALSE(db->get(table::jobs, std::to_string(found + 1)));
    next = found + 1;
  }
}

} // namespace troupe::storage::testing
