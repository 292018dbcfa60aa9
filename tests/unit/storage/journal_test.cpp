#include "tests/support/database.hpp"

#include <gmock/gmock.h>

namespace troupe::storage::testing {

using ::testing::ElementsAre;
using ::testing::Pair;
using enum commit_status;

class journal_test : public storage_test {
protected:
  replayed replay(const std::string& actor) {
    auto out = db->journal().replay(actor);
    EXPECT_TRUE(out) << out.error().message;
    return out ? *out : replayed{};
  }
};

TEST_F(journal_test, an_actor_that_has_never_been_replays_as_nothing) {
  auto found = replay("account/new");
  EXPECT_FALSE(found.from);
  EXPECT_TRUE(found.events.empty());
  EXPECT_EQ(found.last_seq, 0u);
}

TEST_F(journal_test, events_come_back_in_order_also_after_a_restart) {
  EXPECT_EQ(write(*db, events_of("ledger/a", 1, {"one", "two"})), ok);
  EXPECT_EQ(write(*db, events_of("ledger/a", 3, {"three"})), ok);
  open();
  auto found = replay("ledger/a");
  EXPECT_THAT(found.events, ElementsAre("one", "two", "three"));
  EXPECT_EQ(found.last_seq, 3u);
}

TEST_F(journal_test, the_order_holds_beyond_255_events) {
  for (std::uint64_t seq = 1; seq <= 600; seq += 100) {
    std::vector<std::string> values;
    for (std::uint64_t i = seq; i < seq + 100; ++i)
      values.push_back(std::to_string(i));
    ASSERT_EQ(write(*db, events_of("job/a", seq, values)), ok);
  }
  auto found = replay("job/a");
  ASSERT_EQ(found.events.size(), 600u);
  for (std::size_t i = 0; i < found.events.size(); ++i)
    ASSERT_EQ(found.events[i], std::to_string(i + 1));
}

TEST_F(journal_test, actors_with_names_that_begin_alike_do_not_mix) {
  write(*db, events_of("job/a", 1, {"a"}));
  write(*db, events_of("job/ab", 1, {"ab"}));
  write(*db, events_of("job/a/b", 1, {"a/b"}));
  EXPECT_THAT(replay("job/a").events, ElementsAre("a"));
  EXPECT_THAT(replay("job/ab").events, ElementsAre("ab"));
  EXPECT_EQ(replay("job/").last_seq, 0u);
}

TEST_F(journal_test, a_sequence_that_does_not_follow_is_refused) {
  EXPECT_EQ(write(*db, events_of("ledger/a", 2, {"x"})), conflict);
  EXPECT_EQ(write(*db, events_of("ledger/a", 0, {"x"})), conflict);
  EXPECT_EQ(write(*db, events_of("ledger/a", 1, {"x"})), ok);
  EXPECT_EQ(write(*db, events_of("ledger/a", 1, {"y"})), conflict);
  EXPECT_EQ(write(*db, events_of("ledger/a", 3, {"y"})), conflict);
  EXPECT_EQ(write(*db, events_of("ledger/a", UINT64_MAX, {"y"})), conflict);
  EXPECT_THAT(replay("ledger/a").events, ElementsAre("x"));
}

TEST_F(journal_test, a_second_activation_cannot_write_after_a_restart) {
  write(*db, events_of("ledger/a", 1, {"x", "y"}));
  open();
  EXPECT_EQ(write(*db, events_of("ledger/a", 2, {"z"})), conflict);
  EXPECT_EQ(write(*db, events_of("ledger/a", 3, {"z"})), ok);
}

TEST_F(journal_test, sequences_are_checked_within_a_group) {
  EXPECT_THAT(write_together(*db, {events_of("a/1", 1, {"1"}), events_of("a/1", 2, {"2", "3"}),
                                   events_of("a/1", 2, {"late"}), events_of("a/1", 4, {"4"})}),
              ElementsAre(ok, ok, conflict, ok));
  EXPECT_THAT(replay("a/1").events, ElementsAre("1", "2", "3", "4"));
}

TEST_F(journal_test, two_appends_of_one_actor_in_a_batch_follow_each_other) {
  EXPECT_EQ(write(*db, events_of("a/1", 1, {"1"}) + events_of("a/1", 2, {"2"})), ok);
  EXPECT_EQ(write(*db, events_of("a/1", 3, {"3"}) + events_of("a/1", 3, {"3"})), conflict);
  EXPECT_THAT(replay("a/1").events, ElementsAre("1", "2"));
}

TEST_F(journal_test, an_append_without_events_only_checks_the_sequence) {
  EXPECT_EQ(write(*db, events_of("a/1", 1, {}) + put(table::jobs, "j", "1")), ok);
  EXPECT_EQ(write(*db, events_of("a/1", 2, {}) + put(table::jobs, "j", "2")), conflict);
  EXPECT_EQ(db->get(table::jobs, "j"), "1");
}

TEST_F(journal_test, names_that_could_run_into_numbers_are_refused) {
  using namespace std::string_literals;
  for (const auto& name : {""s, "a\0b"s, std::string(1025, 'a')}) {
    EXPECT_EQ(write(*db, events_of(name, 1, {"x"})), conflict);
    EXPECT_EQ(write(*db, entries_of(name, 1, {"x"})), conflict);
    EXPECT_EQ(write(*db, snapshot_of(name, 0, "x")), conflict);
    EXPECT_EQ(db->journal().replay(name).error().code, "invalid");
    EXPECT_EQ(db->journal().events(name, 0, 1, true).error().code, "invalid");
    EXPECT_EQ(db->feed_last({name}), 0u);
    EXPECT_TRUE(db->feed({name}, 0, 10).empty());
  }
}

TEST_F(journal_test, a_row_that_must_be_absent_is_written_once) {
  EXPECT_EQ(write(*db, claim(table::usernames, "ada", "1")), ok);
  EXPECT_EQ(write(*db, claim(table::usernames, "ada", "2")), exists);
  EXPECT_EQ(db->get(table::usernames, "ada"), "1");
  open();
  EXPECT_EQ(write(*db, claim(table::usernames, "ada", "3")), exists);
  EXPECT_EQ(write(*db, claim(table::emails, "ada", "3")), ok) << "another table";
}

TEST_F(journal_test, a_refused_batch_leaves_nothing_behind) {
  write(*db, put(table::usernames, "ada", "1"));
  auto refused = events_of("account/x", 1, {"made"}) + entries_of("x", 1, {"hello"}) + put(table::accounts, "x", "x") +
                 removal(table::usernames, "bob") + claim(table::usernames, "ada", "2");
  write(*db, put(table::usernames, "bob", "b"));
  EXPECT_EQ(write(*db, refused), exists);
  EXPECT_EQ(replay("account/x").last_seq, 0u);
  EXPECT_EQ(db->feed_last({"x"}), 0u);
  EXPECT_FALSE(db->get(table::accounts, "x"));
  EXPECT_EQ(db->get(table::usernames, "bob"), "b");
  EXPECT_EQ(write(*db, events_of("account/x", 1, {"made"})), ok) << "its sequence is free";
}

TEST_F(journal_test, what_a_refused_batch_proposed_does_not_hurt_its_neighbours) {
  EXPECT_THAT(
      write_together(*db, {claim(table::usernames, "ada", "1"),
                           claim(table::emails, "a@b", "2") + claim(table::usernames, "ada", "2"),
                           claim(table::emails, "a@b", "3"), events_of("a/1", 5, {"x"}), events_of("a/1", 1, {"1"})}),
      ElementsAre(ok, exists, ok, conflict, ok));
  EXPECT_EQ(db->get(table::emails, "a@b"), "3");
}

TEST_F(journal_test, what_follows_a_refused_batch_of_the_same_actor_is_refused_too) {
  write(*db, put(table::usernames, "ada", "1"));
  EXPECT_THAT(write_together(*db, {events_of("a/1", 1, {"1"}) + claim(table::usernames, "ada", "2"),
                                   events_of("a/1", 2, {"2"}), events_of("a/2", 1, {"1"})}),
              ElementsAre(exists, conflict, ok));
  EXPECT_EQ(replay("a/1").last_seq, 0u);
}

TEST_F(journal_test, rows_of_one_group_see_those_before_them) {
  write(*db, put(table::usernames, "ada", "1"));
  EXPECT_THAT(write_together(*db, {removal(table::usernames, "ada"), claim(table::usernames, "ada", "2"),
                                   claim(table::usernames, "ada", "3"),
                                   removal(table::usernames, "ada") + claim(table::usernames, "ada", "4")}),
              ElementsAre(ok, ok, exists, ok));
  EXPECT_EQ(db->get(table::usernames, "ada"), "4");
}

TEST_F(journal_test, answers_come_in_the_order_of_the_commits) {
  std::vector<int> order;
  std::promise<void> all;
  for (int i = 0; i < 500; ++i) {
    auto what = i % 7 == 0 ? events_of("a/1", 99, {"refused"}) : put(table::jobs, std::to_string(i), "x");
    db->journal().commit(std::move(what), [&, i](commit_status) {
      order.push_back(i);
      if (i == 499)
        all.set_value();
    });
  }
  all.get_future().wait();
  ASSERT_EQ(order.size(), 500u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(journal_test, many_batches_share_a_sync) {
  auto before = db->journal().counters();
  std::vector<batch> many;
  for (int i = 0; i < 200; ++i)
    many.push_back(events_of("a/" + std::to_string(i), 1, {"x"}));
  write_together(*db, std::move(many));
  auto after = db->journal().counters();
  EXPECT_EQ(after.batches - before.batches, 201u); // and the barrier that held them up
  EXPECT_EQ(after.events - before.events, 200u);
  EXPECT_LE(after.syncs - before.syncs, 2u);
  EXPECT_EQ(after.disk, ok);
}

TEST_F(journal_test, closing_writes_what_is_queued) {
  std::atomic<int> answered = 0;
  for (std::uint64_t i = 1; i <= 2000; ++i)
    db->journal().commit(events_of("a/1", i, {"x"}), [&](commit_status status) { answered += status == ok; });
  open();
  EXPECT_EQ(answered, 2000);
  EXPECT_EQ(replay("a/1").last_seq, 2000u);
}

TEST_F(journal_test, a_callback_may_commit_and_is_refused_while_closing) {
  std::promise<commit_status> second;
  db->journal().commit(put(table::jobs, "1", "x"), [&](commit_status) {
    db->journal().commit(put(table::jobs, "2", "x"), [&](commit_status status) { second.set_value(status); });
  });
  EXPECT_EQ(second.get_future().get(), ok);

  std::promise<void> started;
  std::promise<commit_status> late;
  auto& journal = db->journal();
  journal.commit({}, [&](commit_status) {
    started.set_value();
    // Until the destructor has begun, commits are taken and answered `ok`.
    std::function<void()> again = [&] {
      for (;;) {
        auto refused = false;
        journal.commit({}, [&](commit_status status) { refused = status == failed; });
        if (refused)
          break;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      late.set_value(failed);
    };
    again();
  });
  started.get_future().wait();
  db.reset();
  EXPECT_EQ(late.get_future().get(), failed);
}

TEST_F(journal_test, the_feed_is_told_once_for_each_account_after_the_answers) {
  std::vector<std::string> seen;
  db->journal().on_feed([&](const account_id& account, std::uint64_t last) {
    seen.push_back(account.value + " " + std::to_string(last));
    EXPECT_EQ(db->feed_last(account), last) << "already there to be read";
  });
  std::promise<void> held, go_on, all;
  db->journal().commit({}, [&](commit_status) {
    held.set_value();
    go_on.get_future().wait();
  });
  held.get_future().wait();
  auto ignore = [](commit_status) {};
  db->journal().commit(entries_of("b", 1, {"1", "2"}), [&](commit_status) { seen.push_back("answer"); });
  db->journal().commit(entries_of("a", 1, {"1"}), ignore);
  db->journal().commit(entries_of("c", 7, {"refused"}), ignore);
  db->journal().commit(entries_of("b", 3, {"3"}), [&](commit_status) { all.set_value(); });
  go_on.set_value();
  all.get_future().wait();
  EXPECT_EQ(write(*db, {}), ok); // what the journal's thread had still to say is said
  EXPECT_THAT(seen, ElementsAre("answer", "b 3", "a 1"));
}

TEST_F(journal_test, replay_starts_at_the_snapshot_and_history_stays) {
  write(*db, events_of("a/1", 1, {"1", "2", "3"}) + snapshot_of("a/1", 2, "state at 2"));
  auto found = replay("a/1");
  ASSERT_TRUE(found.from);
  EXPECT_EQ(found.from->seq, 2u);
  EXPECT_EQ(found.from->state, "state at 2");
  EXPECT_THAT(found.events, ElementsAre("3"));
  EXPECT_EQ(found.last_seq, 3u);

  EXPECT_EQ(write(*db, snapshot_of("a/1", 3, "state at 3")), ok);
  open();
  found = replay("a/1");
  EXPECT_EQ(found.from->state, "state at 3");
  EXPECT_TRUE(found.events.empty());
  EXPECT_EQ(found.last_seq, 3u);
  EXPECT_EQ(db->journal().events("a/1", 0, 10, false)->size(), 3u);
  EXPECT_EQ(write(*db, events_of("a/1", 4, {"4"})), ok);
}

TEST_F(journal_test, a_snapshot_of_events_that_are_not_there_is_refused) {
  EXPECT_EQ(write(*db, snapshot_of("a/1", 1, "x")), conflict);
  EXPECT_EQ(write(*db, events_of("a/1", 1, {"1"}) + snapshot_of("a/1", 2, "x")), conflict);
  EXPECT_EQ(write(*db, events_of("a/1", 1, {"1"}) + snapshot_of("a/1", 1, "x")), ok);
}

TEST_F(journal_test, events_are_read_from_either_end) {
  write(*db, events_of("a/0", 1, {"other"}));
  write(*db, events_of("a/1", 1, {"1", "2", "3", "4"}));
  write(*db, events_of("a/2", 1, {"other"}));
  auto& journal = db->journal();
  EXPECT_THAT(*journal.events("a/1", 0, 2, false), ElementsAre(Pair(1, "1"), Pair(2, "2")));
  EXPECT_THAT(*journal.events("a/1", 3, 9, false), ElementsAre(Pair(3, "3"), Pair(4, "4")));
  EXPECT_THAT(*journal.events("a/1", 0, 2, true), ElementsAre(Pair(4, "4"), Pair(3, "3")));
  EXPECT_THAT(*journal.events("a/1", 2, 9, true), ElementsAre(Pair(2, "2"), Pair(1, "1")));
  EXPECT_THAT(*journal.events("a/1", 9, 1, true), ElementsAre(Pair(4, "4")));
  EXPECT_TRUE(journal.events("a/1", 9, 9, false)->empty());
  EXPECT_TRUE(journal.events("a/1", 0, 0, true)->empty());
  EXPECT_TRUE(journal.events("a/9", 0, 9, true)->empty());
}

TEST_F(journal_test, a_full_queue_answers_at_once_on_the_callers_thread) {
  temporary_folder other;
  auto options = opened_in(other);
  options.journal.queue_max = 2;
  auto small = std::move(*open_database(options));
  std::promise<void> held, go_on;
  small->journal().commit({}, [&](commit_status) {
    held.set_value();
    go_on.get_future().wait();
  });
  held.get_future().wait();
  std::atomic<int> taken = 0;
  for (int i = 0; i < 2; ++i)
    small->journal().commit(put(table::jobs, std::to_string(i), "x"), [&](commit_status s) { taken += s == ok; });
  auto refused = ok;
  small->journal().commit(put(table::jobs, "3", "x"), [&, me = std::this_thread::get_id()](commit_status status) {
    EXPECT_EQ(std::this_thread::get_id(), me);
    refused = status;
  });
  EXPECT_EQ(refused, full);
  go_on.set_value();
  EXPECT_TRUE(eventually([&] { return taken == 2; }));
  EXPECT_EQ(write(*small, put(table::jobs, "4", "x")), ok);
  EXPECT_FALSE(small->get(table::jobs, "3"));
  EXPECT_EQ(small->journal().counters().refused, 1u);
}

TEST_F(journal_test, a_queue_is_also_full_of_bytes_but_a_large_batch_alone_is_taken) {
  temporary_folder other;
  auto options = opened_in(other);
  options.journal.queue_bytes_max = 1 << 20;
  auto small = std::move(*open_database(options));
  EXPECT_EQ(write(*small, put(table::jobs, "large", std::string(4 << 20, 'x'))), ok);
  std::promise<void> held, go_on;
  small->journal().commit({}, [&](commit_status) {
    held.set_value();
    go_on.get_future().wait();
  });
  held.get_future().wait();
  auto refused = ok;
  small->journal().commit(put(table::jobs, "1", std::string(900 << 10, 'x')), [](commit_status) {});
  small->journal().commit(put(table::jobs, "2", std::string(200 << 10, 'x')), [&](commit_status s) { refused = s; });
  EXPECT_EQ(refused, full);
  go_on.set_value();
  EXPECT_TRUE(eventually([&] { return write(*small, {}) == ok; }));
  EXPECT_TRUE(small->get(table::jobs, "1"));
}

TEST_F(journal_test, threads_that_commit_at_once_each_keep_their_order) {
  constexpr int threads = 8, each = 300;
  std::vector<std::thread> all;
  std::atomic<int> good = 0;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      for (std::uint64_t i = 1; i <= each; ++i)
        db->journal().commit(events_of("a/" + std::to_string(t), i, {std::to_string(i)}),
                             [&](commit_status s) { good += s == ok; });
    });
  for (auto& t : all)
    t.join();
  EXPECT_EQ(write(*db, {}), ok);
  EXPECT_EQ(good, threads * each);
  for (int t = 0; t < threads; ++t)
    EXPECT_EQ(replay("a/" + std::to_string(t)).last_seq, static_cast<std::uint64_t>(each));
}

} // namespace troupe::storage::testing
