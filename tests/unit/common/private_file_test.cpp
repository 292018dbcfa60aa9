#include "common/private_file.hpp"
#include "common/random.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace troupe {
namespace {

namespace fs = std::filesystem;

struct a_private_file : ::testing::Test {
  fs::path folder = fs::temp_directory_path() / ("troupe-private-" + random_hex(6));

  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }

  static std::string text_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
};

TEST_F(a_private_file, is_its_owners_alone_and_leaves_nothing_beside_it) {
  std::string text(100'000, '\0');
  ASSERT_TRUE(write_private_file(folder / "key", text));
  EXPECT_EQ(text_of(folder / "key"), text);
  EXPECT_EQ(fs::status(folder / "key").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(files(), 1u);
}

TEST_F(a_private_file, replaces_or_keeps_what_is_there) {
  ASSERT_TRUE(write_private_file(folder / "key", "one"));
  ASSERT_TRUE(write_private_file(folder / "key", "two", if_there::keep));
  EXPECT_EQ(text_of(folder / "key"), "one");
  ASSERT_TRUE(write_private_file(folder / "key", "three"));
  EXPECT_EQ(text_of(folder / "key"), "three");
  EXPECT_EQ(files(), 1u);
}

TEST_F(a_private_file, that_cannot_be_written_says_why_and_leaves_nothing) {
  auto nowhere = write_private_file(folder / "none" / "key", "x");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, "io");
  EXPECT_NE(nowhere.error().message.find("No such file or directory"), std::string::npos) << nowhere.error().message;
  fs::create_directories(folder / "taken" / "by a folder");
  EXPECT_FALSE(write_private_file(folder / "taken", "x"));
  EXPECT_EQ(files(), 1u);
}

} // namespace
} // namespace troupe
