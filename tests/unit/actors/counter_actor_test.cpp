// The example of docs/adding-an-actor.md, compiled and run; the page must show it as it is.

#include "tests/unit/actors/counter_actor.hpp"

#include "tests/support/deterministic_system.hpp"
#include "tests/support/slow_journal.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace troupe {
namespace {

using testing::deterministic_system;
using testing::slow_journal;

TEST(CounterActor, CountsAnswersWhenDurableAndComesBack) {
  slow_journal disk;
  actor_board board;
  deterministic_system cluster;
  static const bool registered = (caf::init_global_meta_objects<caf::id_block::troupe_counter>(), true);
  ASSERT_TRUE(registered);
  auto spawn = [&] {
    return cluster.system.spawn<counter_actor>(std::ref(board), std::ref(disk), std::string{"c"},
                                               std::move(*disk.replay("account/c")));
  };
  {
    auto first = spawn();
    EXPECT_EQ(cluster.ask<counted>(first, add_to_counter{3})->value, 3);
    EXPECT_FALSE(cluster.ask<counted>(first, add_to_counter{-4}));
  }
  auto again = spawn();
  EXPECT_EQ(cluster.ask<counted>(again, add_to_counter{1})->value, 4);
}

TEST(CounterActor, IsShownInTheDocsAsItIs) {
  auto read = [](const std::string& path) {
    std::ifstream in(path);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  auto source = read(TROUPE_SOURCE "/tests/unit/actors/counter_actor.hpp");
  auto page = read(TROUPE_SOURCE "/docs/adding-an-actor.md");
  ASSERT_FALSE(source.empty());
  EXPECT_NE(page.find(source), std::string::npos) << "docs/adding-an-actor.md no longer shows counter_actor.hpp";
}

} // namespace
} // namespace troupe
