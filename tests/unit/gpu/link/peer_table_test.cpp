#include "gpu/link/peer_table.hpp"

#include <gtest/gtest.h>

using namespace troupe::link;

TEST(peer_table, never_names_two_connections_alike) {
  peer_table peers;
  auto first = peers.add("r", "key", 0)->peer.connection;
  peers.remove(first, false);
  auto second = peers.add("r", "key", 0)->peer.connection;
  EXPECT_NE(first, second);
  EXPECT_EQ(peers.by_connection(first), nullptr);
  EXPECT_EQ(peers.by_routing_id("r")->peer.connection, second);
}

TEST(peer_table, remembers_closed_routing_ids_in_bounded_memory) {
  peer_table peers({.closed_max = 3});
  for (auto id : {"a", "b", "c", "d", "b"})
    peers.close_routing_id(id);
  EXPECT_FALSE(peers.is_closed("a"));
  EXPECT_TRUE(peers.is_closed("b") && peers.is_closed("c") && peers.is_closed("d"));
}

TEST(peer_table, takes_no_more_peers_than_its_limit) {
  peer_table peers({.peers_max = 2});
  EXPECT_TRUE(peers.add("a", "k", 0) && peers.add("b", "k", 0));
  EXPECT_EQ(peers.add("c", "k", 0), nullptr);
}

TEST(peer_table, holds_frames_back_for_a_slow_reader_up_to_a_limit_and_a_time) {
  peer_table peers({.backlog_frames_max = 2, .backlog_bytes_max = 10, .slow_ms_max = 100, .silent_ms_max = 1'000'000});
  auto& slow = *peers.add("a", "k", 0);
  peers.add("b", "k", 0);
  EXPECT_FALSE(peers.hold_back(slow, {"eleven bytes"}, 0));
  EXPECT_TRUE(peers.hold_back(slow, {"1"}, 0));
  EXPECT_TRUE(peers.hold_back(slow, {"2"}, 50));
  EXPECT_FALSE(peers.hold_back(slow, {"3"}, 50));
  EXPECT_EQ(peers.with_backlog(), std::vector<std::string>{slow.peer.connection});
  EXPECT_TRUE(peers.overdue(100).empty());
  ASSERT_EQ(peers.overdue(101).size(), 1u);
  peers.drop_first_held(slow, 101);
  EXPECT_TRUE(peers.overdue(150).empty());
  peers.drop_first_held(slow, 150);
  EXPECT_FALSE(peers.any_backlog());
}

TEST(peer_table, names_who_has_been_silent_for_too_long) {
  peer_table peers({.silent_ms_max = 100});
  peers.add("a", "k", 0);
  peers.add("b", "k", 50);
  ASSERT_EQ(peers.overdue(101).size(), 1u);
  EXPECT_EQ(peers.overdue(101)[0].connection, peers.by_routing_id("a")->peer.connection);
}
