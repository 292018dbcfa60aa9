#include "gpu/link/head_transfers.hpp"
#include "gpu/node/node_transfers.hpp"
#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::node;
using troupe::node::support::scratch_folder;
using troupe::node::support::wait_until;

namespace {

/// A node's transfers and a head's, with no line between them. An answer to a `put` is heard `answers_to_put` times.
struct uploads_test : ::testing::Test {
  scratch_folder folder;
  std::unique_ptr<artifact_cache> cache = artifact_cache::open(folder.path / "cache", 1 << 20).value();
  link::support::memory_blobs blobs;
  const link::peer me{"connection 1", "key one"};
  std::atomic<int> answers_to_put{1};
  std::atomic<std::size_t> chunks{0};
  std::atomic<bool> too_much{false};
  node_transfers transfers{*cache, [this](wire::from_node&& message) { return bring(std::move(message)); }};
  link::head_transfers head{blobs, {[this](const std::string&, wire::to_node&& said, const auto&) { hear(said); }, {}}};

  bool bring(wire::from_node&& message) {
    if (auto* offer = std::get_if<wire::put>(&message))
      return take(std::move(*offer));
    ++chunks;
    return take(std::move(std::get<wire::put_chunk>(message)));
  }
  bool take(link::head_transfers::request what) {
    bool taken = head.take(me, std::move(what));
    too_much = too_much || !taken;
    return taken;
  }
  void hear(const wire::to_node& said) {
    const auto& ready = std::get<wire::put_ready>(said);
    for (auto times = ready.offset == 0 && !ready.done ? answers_to_put.load() : 1; times > 0; --times)
      transfers.on_put_ready(wire::put_ready{ready});
  }
  /// Brings files of so many chunks, all at once, each from a thread of its own.
  void put_files(std::size_t count, std::size_t chunks_each) {
    transfers.on_connected();
    auto deadline = steady_ms() + 30'000 * link::support::patience();
    std::atomic<std::size_t> brought{0};
    std::vector<std::thread> slots;
    for (std::size_t n = 0; n < count; ++n)
      slots.emplace_back([&, n] {
        std::string content(chunks_each * wire::chunk_bytes, static_cast<char>('a' + n));
        auto file = folder.path / std::to_string(n);
        std::ofstream(file, std::ios::binary) << content;
        if (transfers.put(sha256_hex(content), file, [&] { return too_much || steady_ms() > deadline; }))
          ++brought;
      });
    for (auto& slot : slots)
      slot.join();
    EXPECT_EQ(brought, count);
    EXPECT_FALSE(too_much) << "the head would have closed the line";
  }
};

} // namespace

TEST_F(uploads_test, more_files_than_the_head_takes_at_once_are_each_brought_once) {
  put_files(16, 10);
  EXPECT_EQ(chunks, 16u * 10);
}

TEST_F(uploads_test, answers_that_are_heard_again_do_not_multiply) {
  answers_to_put = 3;
  put_files(1, 70);
  EXPECT_EQ(chunks, 70u + 2 * 8) << "what was sent for each of the first answers, and no more";
}

// Goal: what a head has taken of an upload before the line was lost is not sent again. Method: the head is the test.
TEST(node_transfers_test, an_upload_goes_on_over_another_connection_where_the_head_says) {
  scratch_folder folder;
  auto cache = artifact_cache::open(folder.path / "cache", 1 << 20).value();
  std::mutex mutex;
  std::vector<wire::from_node> sent;
  node_transfers transfers{*cache, [&](wire::from_node&& message) {
                             std::lock_guard guard(mutex);
                             sent.push_back(std::move(message));
                             return true;
                           }};
  auto heard = [&](std::size_t count) {
    EXPECT_TRUE(wait_until([&] {
      std::lock_guard guard(mutex);
      return sent.size() >= count;
    }));
    std::lock_guard guard(mutex);
    return sent.back();
  };
  std::string content(wire::chunk_bytes + 7, 'x');
  auto hash = sha256_hex(content);
  auto file = folder.path / "film";
  std::ofstream(file) << content;

  transfers.on_connected();
  result<void> brought = fail("unset", "");
  std::thread slot([&] { brought = transfers.put(hash, file, [] { return false; }); });
  EXPECT_EQ(std::get<wire::put>(heard(1)).bytes, content.size());
  transfers.on_put_ready({hash, 0, 1, false, ""});
  EXPECT_EQ(std::get<wire::put_chunk>(heard(2)).offset, 0u);
  transfers.on_lost();
  transfers.on_connected();
  EXPECT_EQ(std::get<wire::put>(heard(3)).sha256, hash);
  transfers.on_put_ready({hash, wire::chunk_bytes, 1, false, ""});
  auto rest = std::get<wire::put_chunk>(heard(4));
  EXPECT_EQ(rest.offset, wire::chunk_bytes);
  EXPECT_EQ(rest.data, "xxxxxxx");
  transfers.on_put_ready({hash, content.size(), 0, true, ""});
  slot.join();
  EXPECT_TRUE(brought);
}

// Chunks of an upload that the head has dropped are each answered with `unknown`; one new offer answers them all.
TEST(node_transfers_test, what_is_heard_of_chunks_before_an_offer_does_not_repeat_it) {
  scratch_folder folder;
  auto cache = artifact_cache::open(folder.path / "cache", 1 << 20).value();
  auto hash = sha256_hex("film");
  auto file = folder.path / "film";
  std::ofstream(file) << "film";
  int offers = 0;
  node_transfers* to = nullptr;
  node_transfers transfers{*cache, [&](wire::from_node&& message) {
                             EXPECT_TRUE(std::holds_alternative<wire::put>(message));
                             for (int stale = 0; offers == 0 && stale < 20; ++stale)
                               to->on_put_ready({hash, 0, 0, false, "unknown"});
                             ++offers;
                             to->on_put_ready({hash, 4, 0, true, ""});
                             return true;
                           }};
  to = &transfers;
  transfers.on_connected();
  EXPECT_TRUE(transfers.put(hash, file, [] { return false; }));
  EXPECT_EQ(offers, 1);
}

TEST(node_transfers_test, a_small_file_does_not_wait_behind_large_ones) {
  scratch_folder folder;
  auto cache = artifact_cache::open(folder.path / "cache", 1 << 20).value();
  std::mutex mutex;
  std::set<std::string> offered;
  std::atomic<bool> stop{false};
  node_transfers transfers{*cache, [&](wire::from_node&& message) {
                             std::lock_guard guard(mutex);
                             offered.insert(std::get<wire::put>(message).sha256);
                             return true;
                           }};
  transfers.on_connected();
  std::vector<std::thread> slots;
  auto bring = [&](const std::string& name, std::uintmax_t bytes) {
    std::ofstream(folder.path / name).close();
    std::filesystem::resize_file(folder.path / name, bytes);
    slots.emplace_back(
        [&, name] { EXPECT_FALSE(transfers.put(name, folder.path / name, [&] { return stop.load(); })); });
  };
  auto offers = [&] {
    std::lock_guard guard(mutex);
    return offered.size();
  };
  for (std::size_t n = 0; n < wire::uploads_max; ++n)
    bring("large " + std::to_string(n), 1 << 30);
  EXPECT_FALSE(wait_until([&] { return offers() == wire::uploads_max; }, 200)) << "one place is left";
  bring("small", 1 << 20);
  EXPECT_TRUE(wait_until([&] { return offers() == wire::uploads_max; }));
  stop = true;
  transfers.wake();
  for (auto& slot : slots)
    slot.join();
}

TEST(node_transfers_test, who_waits_for_a_place_among_the_uploads_can_be_stopped) {
  scratch_folder folder;
  auto cache = artifact_cache::open(folder.path / "cache", 1 << 20).value();
  std::atomic<std::size_t> offers{0}, stopped{0};
  std::atomic<bool> stop{false};
  node_transfers transfers{*cache, [&](wire::from_node&&) { return ++offers > 0; }};
  transfers.on_connected();
  std::vector<std::thread> slots;
  for (std::size_t n = 0; n < wire::uploads_max + 1; ++n)
    slots.emplace_back([&, n] {
      auto content = std::to_string(n);
      std::ofstream(folder.path / content) << content;
      auto brought = transfers.put(sha256_hex(content), folder.path / content, [&] { return stop.load(); });
      stopped += !brought && brought.error().code == "stopped" ? 1 : 0;
    });
  EXPECT_TRUE(wait_until([&] { return offers >= wire::uploads_max; }));
  stop = true;
  transfers.wake();
  for (auto& slot : slots)
    slot.join();
  EXPECT_EQ(stopped, wire::uploads_max + 1);
  EXPECT_EQ(offers, wire::uploads_max);
}
