#include "common/sha256.hpp"
#include "gpu/node/artifact_cache.hpp"
#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::node;
using namespace troupe::node::support;

namespace {

struct cache_test : ::testing::Test {
  scratch_folder folder;
  std::unique_ptr<artifact_cache> cache;
  void open(std::uint64_t bytes_max = 1000) { cache = artifact_cache::open(folder.path / "cache", bytes_max).value(); }
  std::string add(const std::string& content) {
    auto file = folder.path / "new";
    std::ofstream(file, std::ios::binary) << content;
    auto hash = sha256_hex(content);
    EXPECT_TRUE(cache->adopt(file, hash).has_value());
    return hash;
  }
};

} // namespace

TEST_F(cache_test, keeps_what_it_adopts_across_a_restart) {
  open();
  auto hash = add("content");
  EXPECT_EQ(read_file(cache->find(hash)->path()), "content");
  open();
  EXPECT_EQ(cache->bytes(), 7u);
  EXPECT_EQ(read_file(cache->find(hash)->path()), "content");
  EXPECT_FALSE(cache->find(sha256_hex("other")));
}

TEST_F(cache_test, drops_what_was_unused_longest_but_never_what_is_in_use) {
  open(100);
  auto a = add(std::string(40, 'a')), b = add(std::string(40, 'b'));
  {
    auto in_use = cache->find(a);
    ASSERT_TRUE(in_use);
    auto c = add(std::string(40, 'c'));
    EXPECT_FALSE(cache->find(b)) << "b was the oldest";
    EXPECT_TRUE(cache->find(c));
    add(std::string(90, 'd'));
    EXPECT_TRUE(std::filesystem::exists(in_use->path()));
  }
  EXPECT_LE(cache->bytes(), 100u);
}

TEST_F(cache_test, a_file_that_broke_while_no_process_ran_is_not_used) {
  open();
  auto hash = add("content");
  auto path = cache->find(hash)->path();
  cache.reset();
  std::ofstream(path, std::ios::binary) << "c0ntent";
  open();
  EXPECT_FALSE(cache->find(hash));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(cache->bytes(), 0u);
  add("content");
  EXPECT_TRUE(cache->find(hash));
}

TEST_F(cache_test, names_that_are_no_hash_are_left_alone) {
  open();
  std::ofstream(folder.path / "cache" / "notes.txt") << "mine";
  open();
  EXPECT_EQ(cache->bytes(), 0u);
  EXPECT_TRUE(std::filesystem::exists(folder.path / "cache" / "notes.txt"));
}

TEST_F(cache_test, what_broken_off_fetches_left_is_bounded) {
  open();
  for (int i = 0; i < 10; ++i)
    std::ofstream(cache->partial("p" + std::to_string(i))) << "x";
  std::filesystem::last_write_time(cache->partial("p3"),
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  cache->prune_partials(1);
  EXPECT_TRUE(std::filesystem::exists(cache->partial("p3"))) << "the newest stays";
  EXPECT_FALSE(std::filesystem::exists(cache->partial("p4")));
}
