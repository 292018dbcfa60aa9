#include "tests/support/database.hpp"

#include <gmock/gmock.h>

namespace troupe::storage::testing {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using enum commit_status;

class views_test : public storage_test {
protected:
  std::vector<std::string> scan(table in, std::string_view prefix, std::string_view after, bool backwards,
                                std::size_t count = 100) {
    std::vector<std::string> out;
    db->scan(in, prefix, after, backwards, [&](std::string_view key, std::string_view value) {
      EXPECT_EQ(value, "v" + std::string{key});
      out.emplace_back(key);
      return out.size() < count;
    });
    return out;
  }
  void put_all(table in, std::vector<std::string> keys) {
    for (auto& key : keys)
      ASSERT_EQ(write(*db, put(in, key, "v" + key)), ok);
  }
};

TEST_F(views_test, a_row_is_there_until_it_is_deleted) {
  EXPECT_FALSE(db->get(table::jobs, "1"));
  write(*db, put(table::jobs, "1", ""));
  EXPECT_EQ(db->get(table::jobs, "1"), "");
  EXPECT_FALSE(db->get(table::jobs, ""));
  EXPECT_FALSE(db->get(table::files, "1"));
  write(*db, removal(table::jobs, "1"));
  EXPECT_FALSE(db->get(table::jobs, "1"));
}

TEST_F(views_test, a_scan_sees_its_prefix_alone_in_either_direction) {
  put_all(table::account_jobs, {"a", "b/1", "b/2", "b/3", "c"});
  put_all(table::emails, {"b/0"});
  put_all(table::open_jobs, {"b/9"});
  EXPECT_THAT(scan(table::account_jobs, "b/", "", false), ElementsAre("b/1", "b/2", "b/3"));
  EXPECT_THAT(scan(table::account_jobs, "b/", "", true), ElementsAre("b/3", "b/2", "b/1"));
  EXPECT_THAT(scan(table::account_jobs, "", "", false), ElementsAre("a", "b/1", "b/2", "b/3", "c"));
  EXPECT_THAT(scan(table::account_jobs, "", "", true), ElementsAre("c", "b/3", "b/2", "b/1", "a"));
  EXPECT_THAT(scan(table::account_jobs, "d", "", false), IsEmpty());
  EXPECT_THAT(scan(table::account_jobs, "d", "", true), IsEmpty());
}

TEST_F(views_test, a_scan_goes_on_after_a_key_whether_or_not_it_is_there) {
  put_all(table::jobs, {"a", "b/1", "b/3", "b/5", "c"});
  EXPECT_THAT(scan(table::jobs, "b/", "b/1", false), ElementsAre("b/3", "b/5"));
  EXPECT_THAT(scan(table::jobs, "b/", "b/2", false), ElementsAre("b/3", "b/5"));
  EXPECT_THAT(scan(table::jobs, "b/", "b/5", false), IsEmpty());
  EXPECT_THAT(scan(table::jobs, "b/", "b/5", true), ElementsAre("b/3", "b/1"));
  EXPECT_THAT(scan(table::jobs, "b/", "b/4", true), ElementsAre("b/3", "b/1"));
  EXPECT_THAT(scan(table::jobs, "b/", "b/1", true), IsEmpty());
  EXPECT_THAT(scan(table::jobs, "b/", "a", false), ElementsAre("b/1", "b/3", "b/5")) << "before the prefix";
  EXPECT_THAT(scan(table::jobs, "b/", "z", false), IsEmpty());
  EXPECT_THAT(scan(table::jobs, "b/", "z", true), ElementsAre("b/5", "b/3", "b/1")) << "beyond the prefix";
  EXPECT_THAT(scan(table::jobs, "b/", "a", true), IsEmpty());
}

TEST_F(views_test, pages_of_a_scan_join_without_a_gap) {
  std::vector<std::string> keys;
  for (std::uint64_t i = 1; i <= 25; ++i)
    keys.push_back(key_of("acc", i * 100));
  put_all(table::account_jobs, keys);
  for (bool backwards : {false, true}) {
    std::vector<std::string> all;
    for (std::string after;;) {
      auto page = scan(table::account_jobs, key_of("acc", ""), after, backwards, 4);
      if (page.empty())
        break;
      all.insert(all.end(), page.begin(), page.end());
      after = page.back();
    }
    if (backwards)
      std::reverse(all.begin(), all.end());
    EXPECT_EQ(all, keys);
  }
}

TEST_F(views_test, a_prefix_of_the_highest_bytes_ends_at_its_table) {
  put_all(table::jobs, {"a", "\xff", "\xff\xff", "\xff\xff\x01"});
  put_all(table::account_jobs, {"a"});
  EXPECT_THAT(scan(table::jobs, "\xff\xff", "", false), ElementsAre("\xff\xff", "\xff\xff\x01"));
  EXPECT_THAT(scan(table::jobs, "\xff", "", true), ElementsAre("\xff\xff\x01", "\xff\xff", "\xff"));
}

TEST_F(views_test, a_scan_does_not_see_what_is_written_meanwhile) {
  put_all(table::jobs, {"1", "2", "3"});
  int visited = 0;
  db->scan(table::jobs, "", "", false, [&](std::string_view, std::string_view) {
    if (visited++ == 0) {
      write(*db, removal(table::jobs, "2"));
      write(*db, put(table::jobs, "4", "v4"));
    }
    return true;
  });
  EXPECT_EQ(visited, 3);
}

TEST_F(views_test, scans_hold_after_a_restart_when_rows_lie_in_files) {
  put_all(table::jobs, {"a", "b/1", "b/2"});
  open();
  put_all(table::jobs, {"b/3"});
  EXPECT_THAT(scan(table::jobs, "b/", "b/1", false), ElementsAre("b/2", "b/3"));
  EXPECT_THAT(scan(table::jobs, "b/", "", true), ElementsAre("b/3", "b/2", "b/1"));
}

TEST_F(views_test, a_feed_is_read_in_pages) {
  EXPECT_EQ(write(*db, entries_of("ada", 1, {"1", "2"}) + entries_of("ad", 1, {"x"})), ok);
  EXPECT_EQ(write(*db, entries_of("ada", 3, {"3", "4", "5"}) + entries_of("adam", 1, {"y"})), ok);
  for (int restart = 0; restart < 2; ++restart) {
    EXPECT_THAT(db->feed({"ada"}, 0, 2), ElementsAre(Pair(1, "1"), Pair(2, "2")));
    EXPECT_THAT(db->feed({"ada"}, 2, 9), ElementsAre(Pair(3, "3"), Pair(4, "4"), Pair(5, "5")));
    EXPECT_THAT(db->feed({"ada"}, 5, 9), IsEmpty());
    EXPECT_THAT(db->feed({"ada"}, UINT64_MAX, 9), IsEmpty());
    EXPECT_THAT(db->feed({"ada"}, 0, 0), IsEmpty());
    EXPECT_THAT(db->feed({"eve"}, 0, 9), IsEmpty());
    EXPECT_EQ(db->feed_last({"ada"}), 5u);
    EXPECT_EQ(db->feed_last({"ad"}), 1u);
    EXPECT_EQ(db->feed_last({"eve"}), 0u);
    open();
  }
  EXPECT_EQ(write(*db, entries_of("ada", 5, {"again"})), conflict);
  EXPECT_EQ(write(*db, entries_of("ada", 6, {"6"})), ok);
}

TEST_F(views_test, a_feed_and_an_actor_of_one_name_count_apart) {
  EXPECT_EQ(write(*db, events_of("x", 1, {"1", "2"}) + entries_of("x", 1, {"1"})), ok);
  EXPECT_EQ(write(*db, events_of("x", 3, {"3"}) + entries_of("x", 2, {"2"})), ok);
}

TEST_F(views_test, the_last_of_a_feed_is_known_to_who_has_heard_of_its_commit) {
  for (std::uint64_t id = 1; id <= 50; ++id) {
    ASSERT_EQ(write(*db, entries_of("ada", id, {"x"})), ok);
    ASSERT_EQ(db->feed_last({"ada"}), id);
  }
  EXPECT_EQ(write(*db, entries_of("ada", 60, {"refused"})), conflict);
  EXPECT_EQ(db->feed_last({"ada"}), 50u);
}

TEST_F(views_test, a_table_s_version_changes_with_its_rows_and_only_then) {
  auto keys = db->version(table::api_keys), accounts = db->version(table::accounts);
  EXPECT_EQ(write(*db, put(table::api_keys, "k", "1")), ok);
  EXPECT_NE(db->version(table::api_keys), keys);
  EXPECT_EQ(db->version(table::accounts), accounts);
  keys = db->version(table::api_keys);
  EXPECT_EQ(write(*db, removal(table::api_keys, "k")), ok);
  EXPECT_NE(db->version(table::api_keys), keys);
  keys = db->version(table::api_keys);
  EXPECT_EQ(write(*db, claim(table::accounts, "a", "1")), ok);
  EXPECT_NE(db->version(table::accounts), accounts);
  accounts = db->version(table::accounts);
  EXPECT_EQ(write(*db, claim(table::accounts, "a", "2")), exists);
  EXPECT_EQ(write(*db, events_of("ledger/a", 1, {"x"})), ok);
  EXPECT_EQ(db->version(table::accounts), accounts);
  EXPECT_EQ(db->version(table::api_keys), keys);
}

} // namespace troupe::storage::testing
