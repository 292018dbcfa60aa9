#include "gpu/node/folder_lock.hpp"
#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

using namespace troupe::node;
using namespace troupe::node::support;

TEST(folder_lock, keeps_a_second_one_out_and_names_the_first) {
  scratch_folder folder;
  {
    auto first = folder_lock::take(folder.path);
    ASSERT_TRUE(first.has_value());
    auto second = folder_lock::take(folder.path);
    EXPECT_EQ(second.error().code, "locked");
    EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
  }
  EXPECT_TRUE(folder_lock::take(folder.path).has_value());
}

TEST(folder_lock, says_when_there_can_be_none) { EXPECT_EQ(folder_lock::take("/proc/nowhere").error().code, "io"); }
