#include "gpu/link/head_transfers.hpp"
#include "tests/unit/gpu/link/link_support.hpp"

#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::link;
using troupe::link::support::memory_blobs;
using troupe::link::support::wait_until;

namespace {

const peer c1{"connection 1", "key one"}, c1_again{"connection 2", "key one"}, c2{"connection 3", "key two"};

struct transfers_test : ::testing::Test {
  memory_blobs blobs;
  std::mutex mutex;
  std::vector<std::pair<std::string, wire::to_node>> sent;
  std::vector<std::string> corrupt;
  std::set<std::string> not_reading; // connections
  std::vector<std::shared_ptr<void>> in_flight_to_them;
  head_transfers transfers{blobs, callbacks(), {.waiting_max = 16, .uploads_max = 2, .upload_credit = 2}};

  head_transfers::callbacks callbacks() {
    return {[this](const std::string& to, wire::to_node&& message, std::shared_ptr<void> in_flight) {
              std::lock_guard guard(mutex);
              sent.emplace_back(to, std::move(message));
              if (not_reading.contains(to))
                in_flight_to_them.push_back(std::move(in_flight));
            },
            [this](const std::string& hash) {
              std::lock_guard guard(mutex);
              corrupt.push_back(hash);
            }};
  }

  wire::put_ready answer_to(head_transfers& of, const peer& from, head_transfers::request what) {
    auto before = answers<wire::put_ready>(0).size();
    of.take(from, std::move(what));
    return answers<wire::put_ready>(before + 1).back();
  }
  wire::put_ready answer_to(const peer& from, head_transfers::request what) {
    return answer_to(transfers, from, std::move(what));
  }
  /// Brings the beginning of what has this hash, and loses the line.
  void begin_and_lose(head_transfers& of, const std::string& hash, std::uint64_t bytes, const std::string& beginning) {
    answer_to(of, c1, wire::put{hash, bytes});
    of.take(c1, wire::put_chunk{hash, 0, beginning});
    EXPECT_EQ(answer_to(of, c1, wire::put{hash, bytes}).offset, beginning.size());
    of.drop(c1.connection);
  }

  template <class Message>
  std::vector<Message> answers(std::size_t count) {
    auto collect = [&] {
      std::lock_guard guard(mutex);
      std::vector<Message> out;
      for (auto& [to, message] : sent)
        if (auto* x = std::get_if<Message>(&message))
          out.push_back(*x);
      return out;
    };
    wait_until([&] { return collect().size() >= count; });
    return collect();
  }
};

} // namespace

TEST_F(transfers_test, a_fetch_gets_as_many_chunks_as_its_credit_and_no_more) {
  std::string content(3 * wire::chunk_bytes + 7, 'x');
  auto hash = blobs.add(content);
  transfers.take(c1, wire::fetch{hash, 0, 2});
  transfers.take(c2, wire::fetch{hash, 3 * wire::chunk_bytes, 5});
  auto chunks = answers<wire::chunk>(3);
  ASSERT_EQ(chunks.size(), 3u);
  std::size_t tail = 0;
  for (const auto& x : chunks) {
    EXPECT_EQ(x.total, content.size());
    EXPECT_EQ(x.error, "");
    tail += x.data.size() == 7 ? 1 : 0;
  }
  EXPECT_EQ(tail, 1u);
}

TEST_F(transfers_test, a_missing_blob_and_an_offset_past_the_end_are_answered) {
  auto hash = blobs.add("ten bytes!");
  transfers.take(c1, wire::fetch{std::string(64, '0'), 0, 1});
  transfers.take(c1, wire::fetch{hash, 10, 1});
  auto chunks = answers<wire::chunk>(2);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].error, "missing");
  EXPECT_EQ(chunks[1].error, "");
  EXPECT_EQ(chunks[1].data, "");
  EXPECT_EQ(chunks[1].total, 10u);
}

TEST_F(transfers_test, a_corrupt_blob_is_found_before_a_byte_of_it_is_sent) {
  auto hash = blobs.add("content");
  blobs.spoil(hash);
  transfers.take(c1, wire::fetch{hash, 0, 1});
  auto chunks = answers<wire::chunk>(1);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].error, "corrupt");
  std::lock_guard guard(mutex);
  EXPECT_EQ(corrupt, std::vector<std::string>{hash});
}

TEST_F(transfers_test, a_blob_that_spoils_after_it_was_checked_is_found_when_a_node_asks_for_it_again) {
  auto hash = blobs.add("content");
  transfers.take(c1, wire::fetch{hash, 0, 1});
  ASSERT_EQ(answers<wire::chunk>(1)[0].error, "");
  blobs.spoil(hash);
  transfers.take(c1, wire::fetch{hash, 0, 1});
  EXPECT_EQ(answers<wire::chunk>(2)[1].error, "corrupt");
}

TEST_F(transfers_test, an_upload_is_taken_in_credit_and_kept_under_its_hash) {
  const std::string content = "abcdefghij";
  auto hash = sha256_hex(content);
  transfers.take(c1, wire::put{hash, 10});
  auto ready = answers<wire::put_ready>(1);
  ASSERT_EQ(ready.size(), 1u);
  EXPECT_EQ(ready[0].offset, 0u);
  EXPECT_EQ(ready[0].credit, 2u);
  transfers.take(c1, wire::put_chunk{hash, 0, "abc"});
  transfers.take(c1, wire::put_chunk{hash, 3, "def"});
  EXPECT_EQ(answers<wire::put_ready>(2).back().offset, 6u) << "credit is spent: the next is granted";
  transfers.take(c1, wire::put_chunk{hash, 6, "ghij"});
  EXPECT_TRUE(answers<wire::put_ready>(3).back().done);
  EXPECT_EQ(blobs.content(hash), content);
  transfers.take(c2, wire::put{hash, 10});
  EXPECT_TRUE(answers<wire::put_ready>(4).back().done) << "what is there is done at once";
}

TEST_F(transfers_test, an_upload_goes_on_from_where_it_is) {
  auto hash = sha256_hex("abcdef");
  transfers.take(c1, wire::put{hash, 6});
  transfers.take(c1, wire::put_chunk{hash, 0, "abc"});
  transfers.take(c1, wire::put{hash, 6});
  EXPECT_EQ(answers<wire::put_ready>(2).back().offset, 3u);
  transfers.take(c1, wire::put_chunk{hash, 5, "f"});
  EXPECT_EQ(answers<wire::put_ready>(3).back().offset, 3u) << "a gap is not taken";
  transfers.take(c1, wire::put_chunk{hash, 3, "def"});
  EXPECT_TRUE(answers<wire::put_ready>(4).back().done);
}

TEST_F(transfers_test, chunks_that_come_again_are_not_each_answered) {
  auto hash = sha256_hex("abcdefghij"), marker = sha256_hex("");
  transfers.take(c1, wire::put{hash, 10});
  for (int times = 0; times < 4; ++times) {
    transfers.take(c1, wire::put_chunk{hash, 0, "abc"});
    transfers.take(c1, wire::put_chunk{hash, 3, "def"});
  }
  transfers.take(c1, wire::put{marker, 0});
  auto heard = answers<wire::put_ready>(3);
  ASSERT_EQ(heard.size(), 3u) << "the answer to the last that was taken says where to go on";
  EXPECT_EQ(heard[1].offset, 6u);
  EXPECT_EQ(heard[2].sha256, marker);
  EXPECT_TRUE(answer_to(c1, wire::put_chunk{hash, 6, "ghij"}).done);
}

TEST_F(transfers_test, of_chunks_in_a_row_that_do_not_fit_the_first_is_answered) {
  auto hash = sha256_hex("abcdef"), marker = sha256_hex("");
  transfers.take(c1, wire::put{hash, 6});
  for (int times = 0; times < 4; ++times)
    transfers.take(c1, wire::put_chunk{hash, 5, "f"});
  transfers.take(c1, wire::put{marker, 0});
  auto heard = answers<wire::put_ready>(3);
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_EQ(heard[1].offset, 0u);
  transfers.take(c1, wire::put_chunk{hash, 0, "a"});
  EXPECT_EQ(answer_to(c1, wire::put_chunk{hash, 5, "f"}).offset, 1u) << "one has fitted since";
  answer_to(c1, wire::put{hash, 6});
  EXPECT_EQ(answer_to(c1, wire::put_chunk{hash, 5, "f"}).offset, 1u) << "it was offered anew";
}

TEST_F(transfers_test, content_of_another_hash_or_length_is_refused) {
  auto hash = sha256_hex("abc");
  transfers.take(c1, wire::put{hash, 3});
  transfers.take(c1, wire::put_chunk{hash, 0, "xyz"});
  EXPECT_EQ(answers<wire::put_ready>(2).back().error, "mismatch");
  transfers.take(c1, wire::put{hash, 2});
  transfers.take(c1, wire::put_chunk{hash, 0, "abc"});
  EXPECT_EQ(answers<wire::put_ready>(4).back().error, "mismatch");
  EXPECT_FALSE(blobs.has(hash));
  transfers.take(c1, wire::put_chunk{hash, 0, "abc"});
  EXPECT_EQ(answers<wire::put_ready>(5).back().error, "unknown");
}

TEST_F(transfers_test, an_empty_artifact_is_done_with_its_offer) {
  transfers.take(c1, wire::put{sha256_hex(""), 0});
  EXPECT_TRUE(answers<wire::put_ready>(1).back().done);
  transfers.take(c1, wire::fetch{sha256_hex(""), 0, 1});
  EXPECT_EQ(answers<wire::chunk>(1).back().total, 0u);
}

TEST_F(transfers_test, a_full_disk_is_told_and_a_spoiled_copy_is_replaced) {
  auto hash = sha256_hex("abc");
  blobs.set_full(true);
  transfers.take(c1, wire::put{hash, 3});
  EXPECT_EQ(answers<wire::put_ready>(1).back().error, "full");
  blobs.set_full(false);
  blobs.add("abc");
  blobs.spoil(hash);
  transfers.take(c1, wire::put{hash, 3});
  EXPECT_FALSE(answers<wire::put_ready>(2).back().done);
  transfers.take(c1, wire::put_chunk{hash, 0, "abc"});
  EXPECT_TRUE(answers<wire::put_ready>(3).back().done);
  EXPECT_EQ(blobs.content(hash), "abc");
}

TEST_F(transfers_test, open_uploads_are_bounded) {
  for (auto text : {"a", "b", "c"})
    transfers.take(c1, wire::put{sha256_hex(text), 1});
  ASSERT_EQ(answers<wire::put_ready>(3).size(), 3u);
  EXPECT_EQ(blobs.open_writers(), 2);
  EXPECT_EQ(answer_to(c1, wire::put_chunk{sha256_hex("a"), 0, "a"}).error, "unknown") << "the oldest gave way";
}

TEST_F(transfers_test, an_upload_goes_on_over_another_connection_of_its_node) {
  auto hash = sha256_hex("abcdef");
  begin_and_lose(transfers, hash, 6, "abc");
  EXPECT_EQ(answer_to(c1_again, wire::put{hash, 6}).offset, 3u);
  EXPECT_EQ(answer_to(c2, wire::put{hash, 6}).offset, 0u) << "another node has nothing to do with it";
  EXPECT_TRUE(answer_to(c1_again, wire::put_chunk{hash, 3, "def"}).done);
  EXPECT_EQ(blobs.content(hash), "abcdef");
}

TEST_F(transfers_test, what_was_gone_on_with_is_verified) {
  auto hash = sha256_hex("abcdef");
  begin_and_lose(transfers, hash, 6, "abX");
  answer_to(c1_again, wire::put{hash, 6});
  EXPECT_EQ(answer_to(c1_again, wire::put_chunk{hash, 3, "def"}).error, "mismatch");
  EXPECT_FALSE(blobs.has(hash));
  EXPECT_EQ(answer_to(c1_again, wire::put{hash, 6}).offset, 0u);
}

TEST_F(transfers_test, a_node_that_begins_anew_on_another_connection_is_heard) {
  auto hash = sha256_hex("abcdef");
  begin_and_lose(transfers, hash, 6, "abc");
  EXPECT_EQ(answer_to(c1_again, wire::put{hash, 6}).offset, 3u);
  transfers.take(c1_again, wire::put_chunk{hash, 0, "ab"});
  EXPECT_EQ(answer_to(c1_again, wire::put_chunk{hash, 2, "cd"}).offset, 4u);
  EXPECT_TRUE(answer_to(c1_again, wire::put_chunk{hash, 4, "ef"}).done);
  EXPECT_EQ(blobs.content(hash), "abcdef");
}

TEST_F(transfers_test, what_is_kept_of_lost_uploads_is_bounded_in_number_and_bytes) {
  head_transfers few{blobs, callbacks(), {.kept_max = 2}}, small{blobs, callbacks(), {.kept_bytes_max = 1}};
  for (auto* of : {&few, &small})
    for (std::string content : {"ax", "bx", "cx"})
      begin_and_lose(*of, sha256_hex(content), 2, content.substr(0, 1));
  EXPECT_TRUE(wait_until([&] { return blobs.open_writers() == 3; }));
  EXPECT_EQ(answer_to(few, c1, wire::put{sha256_hex("bx"), 2}).offset, 1u);
  EXPECT_EQ(answer_to(few, c1, wire::put{sha256_hex("ax"), 2}).offset, 0u) << "the longest lost gave way";
  EXPECT_EQ(answer_to(small, c1, wire::put{sha256_hex("cx"), 2}).offset, 1u);
  EXPECT_EQ(answer_to(small, c1, wire::put{sha256_hex("bx"), 2}).offset, 0u);
}

TEST_F(transfers_test, an_upload_too_large_to_be_kept_costs_no_other) {
  head_transfers small{blobs, callbacks(), {.kept_bytes_max = 2}};
  begin_and_lose(small, sha256_hex("ax"), 2, "a");
  begin_and_lose(small, sha256_hex("large"), 5, "larg");
  EXPECT_TRUE(wait_until([&] { return blobs.open_writers() <= 1; }));
  EXPECT_EQ(answer_to(small, c1, wire::put{sha256_hex("ax"), 2}).offset, 1u);
}

TEST_F(transfers_test, an_upload_that_nothing_comes_for_is_kept_for_some_time_whether_its_line_stands_or_not) {
  head_transfers hasty{blobs, callbacks(), {.kept_ms = 300 * troupe::link::support::patience()}};
  begin_and_lose(hasty, sha256_hex("ax"), 2, "a");
  EXPECT_TRUE(wait_until([&] { return blobs.open_writers() == 0; }));
  answer_to(hasty, c1, wire::put{sha256_hex("bx"), 2});
  EXPECT_TRUE(wait_until([&] { return blobs.open_writers() == 0; }));
}

TEST_F(transfers_test, an_upload_that_goes_on_is_kept_for_as_long_as_it_does) {
  const auto kept_ms = 1500 * troupe::link::support::patience();
  head_transfers hasty{blobs, callbacks(), {.kept_ms = kept_ms}};
  const auto hash = sha256_hex("ax");
  begin_and_lose(hasty, hash, 2, "a");
  for (auto end = steady_ms() + 2 * kept_ms; steady_ms() < end;)
    ASSERT_EQ(answer_to(hasty, c1_again, wire::put{hash, 2}).offset, 1u);
  EXPECT_TRUE(answer_to(hasty, c1_again, wire::put_chunk{hash, 1, "x"}).done);
}

TEST_F(transfers_test, what_another_node_has_completed_is_not_kept) {
  auto hash = sha256_hex("ax");
  answer_to(c1, wire::put{hash, 2});
  answer_to(c2, wire::put{hash, 2});
  EXPECT_TRUE(answer_to(c2, wire::put_chunk{hash, 0, "ax"}).done);
  EXPECT_TRUE(answer_to(c1, wire::put{hash, 2}).done);
  EXPECT_EQ(blobs.open_writers(), 0);
}

TEST_F(transfers_test, lost_uploads_give_way_when_the_disk_is_full) {
  begin_and_lose(transfers, sha256_hex("ax"), 2, "a");
  blobs.set_full(true);
  EXPECT_EQ(answer_to(c2, wire::put{sha256_hex("bx"), 2}).error, "full");
  EXPECT_EQ(blobs.open_writers(), 0);
}

TEST_F(transfers_test, an_upload_that_goes_on_over_another_line_does_not_give_way_to_a_full_disk) {
  auto hash = sha256_hex("ax");
  begin_and_lose(transfers, hash, 2, "a");
  answer_to(c1_again, wire::put{hash, 2});
  blobs.set_full(true);
  EXPECT_EQ(answer_to(c2, wire::put{sha256_hex("bx"), 2}).error, "full");
  EXPECT_TRUE(answer_to(c1_again, wire::put_chunk{hash, 1, "x"}).done);
}

TEST_F(transfers_test, a_node_that_does_not_read_is_waited_for_over_all_its_connections_and_nobody_else_waits) {
  head_transfers tight{blobs, callbacks(), {.node_in_flight_max = 2 * wire::chunk_bytes}};
  not_reading = {c1.connection};
  auto hash = blobs.add(std::string(8 * wire::chunk_bytes, 'x'));
  tight.take(c1, wire::fetch{hash, 0, 8});
  EXPECT_EQ(answers<wire::chunk>(2).size(), 2u);
  tight.take(c1_again, wire::fetch{hash, 0, 8});
  tight.take(c2, wire::fetch{hash, 0, 8});
  EXPECT_EQ(answers<wire::chunk>(10).size(), 10u);
  EXPECT_FALSE(wait_until([&] { return answers<wire::chunk>(0).size() > 10; }, 100)) << "one of its key waits, too";
  {
    std::lock_guard guard(mutex);
    not_reading.clear();
    in_flight_to_them.clear();
  }
  EXPECT_EQ(answers<wire::chunk>(24).size(), 24u) << "it reads: all comes";
}

TEST_F(transfers_test, when_too_much_is_in_flight_who_reads_gets_one_chunk_after_the_other) {
  head_transfers tight{blobs, callbacks(), {.in_flight_max = 2 * wire::chunk_bytes}};
  not_reading = {c1.connection};
  auto hash = blobs.add(std::string(8 * wire::chunk_bytes, 'x'));
  tight.take(c1, wire::fetch{hash, 0, 8});
  EXPECT_EQ(answers<wire::chunk>(2).size(), 2u);
  tight.take(c2, wire::fetch{hash, 0, 8});
  EXPECT_EQ(answers<wire::chunk>(10).size(), 10u);
  EXPECT_FALSE(wait_until([&] { return answers<wire::chunk>(0).size() > 10; }, 100));
}

TEST_F(transfers_test, many_uploads_share_what_may_be_on_its_way_to_the_head) {
  head_transfers shared{blobs, callbacks(), {.upload_credits_max = 7}};
  EXPECT_EQ(answer_to(shared, c1, wire::put{sha256_hex("a"), 1}).credit, 7u);
  EXPECT_EQ(answer_to(shared, c2, wire::put{sha256_hex("b"), 1}).credit, 3u);
  for (int n = 0; n < 8; ++n)
    EXPECT_GE(answer_to(shared, {std::to_string(n), std::to_string(n)}, wire::put{sha256_hex("c"), 1}).credit, 1u);
}

TEST_F(transfers_test, a_peer_that_asks_for_too_much_at_once_is_told_off) {
  std::lock_guard hold(mutex); // no answer gets out, so requests pile up
  auto hash = blobs.add("x");
  int taken = 0;
  while (taken < 1000 && transfers.take(c1, wire::fetch{hash, 0, 1}))
    ++taken;
  EXPECT_GE(taken, 16);
  EXPECT_LE(taken, 17);
  EXPECT_TRUE(transfers.take(c2, wire::fetch{hash, 0, 1})) << "another peer is not meant";
}
