#include "storage/blobs.hpp"
#include "tests/support/database.hpp"
#include "tests/unit/storage/process.hpp"

#include <map>
#include <random>
#include <set>
#include <sstream>

namespace troupe::storage::testing {

namespace {

struct acknowledged {
  std::map<std::string, std::uint64_t> batches; // actor → the last that was acknowledged
  std::set<std::uint64_t> numbers;
  std::set<std::string> blobs;
};

void note(acknowledged& all, const std::string& line) {
  std::istringstream in{line};
  std::string kind, name;
  std::uint64_t number = 0;
  in >> kind;
  if (kind == "batch") {
    in >> name >> number;
    EXPECT_GT(number, all.batches[name]) << "acknowledged in order";
    all.batches[name] = number;
  } else if (kind == "number") {
    in >> number;
    EXPECT_TRUE(all.numbers.insert(number).second) << number << " was given twice";
  } else if (kind == "blob") {
    in >> name;
    all.blobs.insert(name);
  } else {
    EXPECT_EQ(line, "ready");
  }
}

void check_actor(const database& db, journal& events, const std::string& actor, std::uint64_t at_least) {
  auto found = events.replay("a/" + actor);
  ASSERT_TRUE(found) << found.error().message;
  auto last = found->last_seq;
  EXPECT_GE(last, at_least) << actor;
  if (found->from) {
    EXPECT_EQ(found->from->state, "state " + std::to_string(found->from->seq));
  }
  // All of a batch, or nothing: rows, feed and events tell the same story.
  EXPECT_EQ(db.feed_last({actor}), last);
  EXPECT_EQ(db.feed({actor}, 0, 1'000'000).size(), last);
  std::uint64_t rows = 0;
  db.scan(table::jobs, key_of(actor, ""), "", false, [&](std::string_view key, std::string_view) {
    EXPECT_EQ(number_at_end(key), ++rows);
    return true;
  });
  EXPECT_EQ(rows, last);
  if (last > 0) {
    EXPECT_EQ(db.get(table::accounts, actor), std::to_string(last));
  }
}

} // namespace

// Goal: what was acknowledged before a SIGKILL is there after it, and batches are whole. Method: kill a writing process
// at seeded random moments, also while it starts, again and again on the same data.
TEST(crash_test, what_was_acknowledged_outlives_a_sigkill_at_any_moment) {
  temporary_folder folder;
  auto options = in(folder);
  std::mt19937_64 random{20};
  acknowledged all;
  for (int round = 0; round < 20; ++round) {
    process writer{TROUPE_CRASH_WRITER, {options.directory.string(), std::to_string(random())}};
    bool early = random() % 5 == 0;
    if (!early) {
      auto first = writer.line(20'000);
      ASSERT_TRUE(first && *first == "ready") << first.value_or("nothing");
    }
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % (early ? 30 : 90));
    while (std::chrono::steady_clock::now() < end)
      if (auto line = writer.line(1))
        note(all, *line);
    writer.kill();
    while (auto line = writer.line(0))
      note(all, *line);

    auto db = database::open(options);
    ASSERT_TRUE(db) << db.error().message;
    for (int actor = 0; actor < 5; ++actor)
      check_actor(**db, (*db)->journal(), std::to_string(actor), all.batches[std::to_string(actor)]);
  }
  EXPECT_GT(all.batches["0"], 20u) << "the test has written something";
  auto blobs = blob_store::open(options.directory / "blobs");
  ASSERT_TRUE(blobs);
  EXPECT_GT(all.blobs.size(), 10u);
  for (const auto& name : all.blobs)
    EXPECT_TRUE((*blobs)->verify(name)) << name;
}

} // namespace troupe::storage::testing
