#include "storage/keys.hpp"

#include "storage/database.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace troupe::storage {

using namespace std::string_literals;

TEST(keys, sort_by_their_parts_and_numbers_by_value) {
  std::vector<std::string> sorted = {key_of("a", ""),
                                     key_of("a", std::uint64_t{0}),
                                     key_of("a", std::uint64_t{1}),
                                     key_of("a", std::uint64_t{255}),
                                     key_of("a", std::uint64_t{256}),
                                     key_of("a", std::uint64_t{1} << 40),
                                     key_of("a", UINT64_MAX),
                                     key_of("a!", ""),
                                     key_of("aa", std::uint64_t{0}),
                                     key_of("b", std::uint64_t{0})};
  EXPECT_TRUE(std::is_sorted(sorted.begin(), sorted.end()));
}

TEST(keys, of_different_parts_are_different) {
  EXPECT_NE(key_of("ab", "c"), key_of("a", "bc"));
  EXPECT_NE(key_of("ab", ""), key_of("a", "b"));
}

TEST(keys, of_a_first_part_share_its_prefix) {
  EXPECT_TRUE(key_of("a", "b").starts_with(key_of("a", "")));
  EXPECT_TRUE(key_of(key_of("a", "b"), "c").starts_with(key_of(key_of("a", "b"), "")));
  EXPECT_FALSE(key_of("ab", "c").starts_with(key_of("a", "")));
}

TEST(keys, give_their_number_back) {
  for (std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x0102030405060708}, UINT64_MAX})
    EXPECT_EQ(number_at_end(key_of("a", number)), number);
  EXPECT_EQ(number_at_end("short"), 0u);
}

TEST(keys, after_a_prefix_come_after_all_that_begin_with_it) {
  EXPECT_EQ(after_prefix("ab"), "ac");
  EXPECT_EQ(after_prefix("a\xff\xff"), "b");
  EXPECT_EQ(after_prefix("\xff\xff"), "");
  EXPECT_EQ(after_prefix("\x7f"), "\x80");
}

TEST(keys, names_are_bounded_and_hold_no_zero) {
  EXPECT_TRUE(is_name("account/01h"));
  EXPECT_FALSE(is_name(""));
  EXPECT_FALSE(is_name("a\0b"s));
  EXPECT_FALSE(is_name(std::string(name_bytes_max + 1, 'a')));
}

} // namespace troupe::storage
