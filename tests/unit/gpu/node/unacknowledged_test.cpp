#include "gpu/node/unacknowledged.hpp"
#include "tests/unit/gpu/node/node_support.hpp"

#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::node;
using namespace troupe::node::support;

namespace {

wire::finished report_of(std::uint64_t attempt, bool with_file) {
  wire::finished out{{"job", 1, attempt}, "cpu0", "test/1", false, 5, {}};
  if (with_file)
    out.outputs.push_back(input_of("content"));
  return out;
}

} // namespace

TEST(unacknowledged_results, with_files_outlive_the_process_and_those_without_touch_no_disk) {
  scratch_folder folder;
  {
    unacknowledged results(folder.path);
    for (bool with_file : {true, false}) {
      results.save(report_of(with_file, with_file));
      results.add(report_of(with_file, with_file));
    }
    EXPECT_EQ(results.all().size(), 2u);
  }
  unacknowledged again(folder.path);
  ASSERT_EQ(again.all().size(), 1u);
  EXPECT_TRUE(again.find({"job", 1, 1}));
  again.acknowledge({"job", 1, 1});
  again.acknowledge({"job", 1, 9});
  EXPECT_TRUE(again.all().empty() && std::filesystem::is_empty(folder.path));
}

TEST(unacknowledged_results, half_written_and_misnamed_files_are_dropped) {
  scratch_folder folder;
  std::ofstream(folder.path / "abc.half") << "half";
  std::ofstream(folder.path / "abc") << wire::encode(wire::from_node{report_of(1, true)});
  EXPECT_TRUE(unacknowledged(folder.path).all().empty());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path));
}

TEST(unacknowledged_results, are_bounded_and_the_oldest_goes_first) {
  scratch_folder folder;
  unacknowledged results(folder.path, 3);
  for (std::uint64_t i = 1; i <= 5; ++i)
    results.add(report_of(i, false));
  EXPECT_EQ(results.all().size(), 3u);
  EXPECT_FALSE(results.find({"job", 1, 2}));
  EXPECT_TRUE(results.find({"job", 1, 5}));
}
