#include "storage/last_numbers.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {

TEST(last_numbers, forget_the_least_recently_used) {
  last_numbers known{3};
  known.put("a", 1);
  known.put("b", 2);
  known.put("c", 3);
  EXPECT_EQ(known.find("a"), 1u); // used
  known.put("d", 4);
  EXPECT_FALSE(known.find("b"));
  EXPECT_EQ(known.find("a"), 1u);
  EXPECT_EQ(known.find("c"), 3u);
  EXPECT_EQ(known.find("d"), 4u);
  EXPECT_EQ(known.size(), 3u);
}

TEST(last_numbers, keep_the_last_that_was_put) {
  last_numbers known{2};
  known.put("a", 1);
  known.put("a", 5);
  EXPECT_EQ(known.find("a"), 5u);
  EXPECT_EQ(known.size(), 1u);
  known.clear();
  EXPECT_FALSE(known.find("a"));
}

} // namespace troupe::storage
