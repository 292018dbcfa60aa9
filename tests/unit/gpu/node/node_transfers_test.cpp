#include "gpu/node/node_transfers.hpp"
#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::node;
using troupe::node::support::scratch_folder;
using troupe::node::support::wait_until;

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
