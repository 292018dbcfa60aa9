#include "common/random.hpp"
#include "gpu/link/head_link.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

using namespace troupe;
using namespace troupe::link;

namespace {

struct key_file : testing::Test {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("troupe-keys-" + random_hex(6));
  void TearDown() override { std::filesystem::remove(path); }
};

} // namespace

TEST_F(key_file, is_made_once_readable_by_its_owner_alone) {
  auto made = load_or_make_key_pair(path);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(made->public_key.size(), 40u);
  auto again = load_or_make_key_pair(path).value();
  EXPECT_EQ(again.public_key, made->public_key);
  EXPECT_EQ(again.secret_key, made->secret_key);
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(key_file, that_holds_no_pair_is_named_and_left_alone) {
  std::ofstream(path) << make_key_pair().public_key << "\n" << make_key_pair().secret_key << "\n";
  EXPECT_EQ(load_or_make_key_pair(path).error().code, "malformed");
  std::ofstream(path) << "hello";
  EXPECT_EQ(load_or_make_key_pair(path).error().code, "malformed");
  EXPECT_EQ(std::filesystem::file_size(path), 5u);
}

TEST(key_pairs, differ_each_time) { EXPECT_NE(make_key_pair().secret_key, make_key_pair().secret_key); }

TEST(key_pairs, cannot_be_made_where_nothing_can_be_written) {
  EXPECT_EQ(load_or_make_key_pair("/proc/no/such/key").error().code, "io");
}
