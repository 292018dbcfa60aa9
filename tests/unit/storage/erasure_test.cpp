#include "tests/support/database.hpp"

namespace troupe::storage::testing {
namespace {

std::unique_ptr<database> opened(const temporary_folder& folder) {
  auto out = database::open(in(folder));
  EXPECT_TRUE(out) << out.error().message;
  return std::move(*out);
}

batch erasing(erasure::part what, std::string name) {
  batch out;
  out.erasures.push_back({what, std::move(name)});
  return out;
}

TEST(Erasure, an_actor_that_was_erased_has_never_been) {
  temporary_folder folder;
  {
    auto store = opened(folder);
    auto history = events_of("job/1", 1, {"a", "b", "c"});
    history.snapshots.push_back({"job/1", 2, "state"});
    ASSERT_EQ(write(*store, std::move(history)), commit_status::ok);
    ASSERT_EQ(write(*store, events_of("job/11", 1, {"neighbour"})), commit_status::ok);
    auto last_words = events_of("job/1", 4, {"d"});
    last_words.erasures.push_back({erasure::part::actor, "job/1"});
    ASSERT_EQ(write(*store, std::move(last_words)), commit_status::ok);
    EXPECT_EQ(write(*store, events_of("job/1", 5, {"late"})), commit_status::conflict);
  }
  auto store = opened(folder);
  auto past = store->journal().replay("job/1");
  ASSERT_TRUE(past);
  EXPECT_EQ(past->last_seq, 0u);
  EXPECT_FALSE(past->from);
  EXPECT_TRUE(past->events.empty());
  EXPECT_EQ(store->journal().replay("job/11")->events, std::vector<std::string>{"neighbour"});
  EXPECT_EQ(write(*store, events_of("job/1", 1, {"again"})), commit_status::ok);
}

TEST(Erasure, of_an_erased_past_the_snapshot_and_the_last_event_stay_and_the_numbers_go_on) {
  temporary_folder folder;
  {
    auto store = opened(folder);
    ASSERT_EQ(write(*store, events_of("account/1", 1, {"name", "address"})), commit_status::ok);
    auto end = events_of("account/1", 3, {"deleted"});
    end.snapshots.push_back({"account/1", 3, "nothing personal"});
    end.erasures.push_back({erasure::part::past, "account/1"});
    ASSERT_EQ(write(*store, std::move(end)), commit_status::ok);
  }
  auto store = opened(folder);
  auto past = store->journal().replay("account/1");
  ASSERT_TRUE(past) << past.error().message;
  EXPECT_EQ(past->from->state, "nothing personal");
  EXPECT_EQ(past->last_seq, 3u);
  auto events = store->journal().events("account/1", 0, 10, true);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ(events->front().second, "deleted");
  EXPECT_EQ(write(*store, events_of("account/1", 4, {"more"})), commit_status::ok);
}

TEST(Erasure, a_past_is_not_erased_without_a_snapshot_that_stands_for_it) {
  temporary_folder folder;
  auto store = opened(folder);
  ASSERT_EQ(write(*store, events_of("account/1", 1, {"a", "b"})), commit_status::ok);
  EXPECT_EQ(write(*store, erasing(erasure::part::past, "account/1")), commit_status::conflict);
  auto old = erasing(erasure::part::past, "account/1");
  old.snapshots.push_back({"account/1", 1, "too old"});
  EXPECT_EQ(write(*store, std::move(old)), commit_status::conflict);
  EXPECT_EQ(store->journal().replay("account/1")->events.size(), 2u);
}

TEST(Erasure, a_log_keeps_its_last_entry_and_its_numbers) {
  temporary_folder folder;
  {
    auto store = opened(folder);
    ASSERT_EQ(write(*store, entries_of("a", 1, {"x", "y", "z"})), commit_status::ok);
    ASSERT_EQ(write(*store, entries_of("b", 1, {"other"})), commit_status::ok);
    ASSERT_EQ(write(*store, erasing(erasure::part::log, "a")), commit_status::ok);
    ASSERT_EQ(write(*store, erasing(erasure::part::log, "never")), commit_status::ok);
  }
  auto store = opened(folder);
  EXPECT_EQ(store->feed({"a"}, 0, 10).size(), 1u);
  EXPECT_EQ(store->feed_last({"a"}), 3u);
  EXPECT_EQ(store->feed({"b"}, 0, 10).size(), 1u);
  EXPECT_EQ(write(*store, entries_of("a", 4, {"w"})), commit_status::ok);
}

} // namespace
} // namespace troupe::storage::testing
