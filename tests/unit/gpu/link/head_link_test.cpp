#include "common/random.hpp"
#include "tests/unit/gpu/link/link_support.hpp"

#include <gtest/gtest.h>
#include <zmq.hpp>

using namespace troupe;
using namespace troupe::link;
using troupe::link::support::head;
using troupe::link::support::wait_until;

namespace {

/// A node's link that counts what happens to it.
struct node {
  node(const head& to, key_pair keys, std::string name = "n1")
    : node(to.endpoint(), to.keys().public_key, keys, name) {}
  node(const std::string& endpoint, const std::string& head_key, key_pair keys, std::string name) {
    node_link_handler handler;
    handler.say_hello = [name] {
      wire::hello h;
      h.node = name;
      h.session = "s";
      return h;
    };
    handler.on_connected = [this](const wire::welcome&) { ++connected; };
    handler.on_lost = [this](const std::string&) { ++lost; };
    handler.on_message = [this](wire::to_node&&) { ++messages; };
    node_link_options options{{endpoint}, head_key, keys};
    options.answer_ms = 500;
    link = node_link::open(options, handler).value();
  }
  std::atomic<int> connected{0}, lost{0}, messages{0};
  std::unique_ptr<node_link> link;
};

/// A client that says what it likes.
struct raw_client {
  raw_client(const head& to, const key_pair& keys) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::rcvtimeo, 5000);
    socket.set(zmq::sockopt::curve_serverkey, to.keys().public_key);
    socket.set(zmq::sockopt::curve_publickey, keys.public_key);
    socket.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    socket.connect(to.endpoint());
  }
  void say(const std::string& frame, bool more = false) {
    socket.send(zmq::buffer(frame), more ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
  void hello(const std::string& name) {
    wire::hello h;
    h.node = name;
    h.session = "s";
    say(wire::encode(wire::from_node{h}));
  }
  std::optional<wire::to_node> hear() {
    zmq::message_t m;
    if (!socket.recv(m))
      return std::nullopt;
    return wire::decode_to_node(m.to_string_view()).value();
  }
  std::string refusal() {
    for (auto m = hear(); m; m = hear())
      if (auto* x = std::get_if<wire::refused>(&*m))
        return x->reason;
    return "";
  }
  zmq::context_t context;
  zmq::socket_t socket{context, zmq::socket_type::dealer};
};

struct head_link_test : ::testing::Test {
  head h;
  key_pair key() {
    auto keys = make_key_pair();
    h.allow(keys.public_key);
    return keys;
  }
};

} // namespace

TEST_F(head_link_test, a_node_with_an_allowed_key_is_welcomed_and_known_by_its_key) {
  auto keys = key();
  node n(h, keys);
  ASSERT_TRUE(wait_until([&] { return n.connected == 1; }));
  ASSERT_TRUE(h.wait_for<wire::hello>());
  EXPECT_EQ(h.all<wire::hello>()[0].first.public_key, keys.public_key);
  EXPECT_TRUE(h.wait_for<wire::node_heartbeat>(3)) << "heartbeats come by themselves";
  EXPECT_EQ(n.lost, 0);
}

TEST_F(head_link_test, an_unknown_key_is_denied_and_counted) {
  node stranger(h, make_key_pair());
  ASSERT_TRUE(wait_until([&] { return h.link->counters().denied > 0; }));
  auto keys = key();
  node friendly(h, keys);
  ASSERT_TRUE(wait_until([&] { return friendly.connected == 1; }));
  EXPECT_EQ(stranger.connected, 0);
  EXPECT_EQ(h.all<wire::hello>().size(), 1u);
}

TEST_F(head_link_test, a_key_that_is_allowed_later_gets_in_without_a_restart) {
  auto keys = make_key_pair();
  node n(h, keys);
  ASSERT_TRUE(wait_until([&] { return h.link->counters().denied > 0; }));
  h.allow(keys.public_key);
  EXPECT_TRUE(wait_until([&] { return n.connected == 1; }));
}

TEST_F(head_link_test, a_head_with_another_key_than_the_nodes_is_not_spoken_to) {
  auto keys = key();
  node n(h.endpoint(), make_key_pair().public_key, keys, "n1");
  node good(h, keys);
  ASSERT_TRUE(wait_until([&] { return good.connected == 1; }));
  EXPECT_EQ(n.connected, 0);
}

TEST_F(head_link_test, fields_of_another_version_are_told_once_a_connection) {
  auto keys = key();
  raw_client newer(h, keys);
  newer.hello("newer");
  auto beat = from_msgpack(wire::encode(wire::from_node{wire::node_heartbeat{1}})).value();
  beat["load"] = 0.5;
  for (int i = 0; i < 5; ++i)
    newer.say(to_msgpack(beat));
  beat["watts"] = 300;
  newer.say(to_msgpack(beat));
  ASSERT_TRUE(h.wait_for<wire::node_heartbeat>(6)) << "it is served";
  ASSERT_TRUE(wait_until([&] { return h.unknown_fields().size() == 2; }));
  EXPECT_EQ(h.unknown_fields(), (std::vector<std::string>{"load", "watts"}));
  EXPECT_EQ(h.link->counters().unknown_fields, 6u);
  EXPECT_EQ(h.closed().size(), 0u);
}

TEST_F(head_link_test, a_node_does_not_go_on_in_a_version_that_it_does_not_speak) {
  h.terms.version = wire::protocol_version + 1;
  node n(h, key());
  ASSERT_TRUE(h.wait_for<wire::hello>());
  EXPECT_FALSE(wait_until([&] { return n.connected > 0; }, 300));
}

TEST_F(head_link_test, a_malformed_frame_closes_its_peer_and_no_other) {
  auto good_keys = key(), bad_keys = key();
  node good(h, good_keys, "good");
  raw_client bad(h, bad_keys);
  bad.hello("bad");
  ASSERT_TRUE(h.wait_for<wire::hello>(2));
  bad.say("not MessagePack at all");
  EXPECT_NE(bad.refusal(), "");
  ASSERT_TRUE(wait_until([&] { return h.closed().size() == 1; }));
  EXPECT_EQ(h.closed()[0].first.public_key, bad_keys.public_key);
  EXPECT_EQ(h.link->counters().malformed, 1u);
  bad.say(wire::encode(wire::from_node{wire::goodbye{"still there?"}}));
  bad.hello("again");
  auto beats = h.all<wire::node_heartbeat>().size();
  ASSERT_TRUE(h.wait_for<wire::node_heartbeat>(beats + 5));
  EXPECT_TRUE(h.all<wire::goodbye>().empty()) << "a closed peer is not heard";
  EXPECT_EQ(h.all<wire::hello>().size(), 2u);
  EXPECT_EQ(good.lost, 0);
  raw_client anew(h, bad_keys);
  anew.hello("anew");
  EXPECT_TRUE(h.wait_for<wire::hello>(3)) << "it may dial anew";
}

TEST_F(head_link_test, messages_of_many_parts_and_of_none_are_malformed) {
  auto keys = key();
  raw_client many(h, keys);
  many.hello("many");
  ASSERT_TRUE(h.wait_for<wire::hello>());
  for (int i = 0; i < 50; ++i)
    many.say("part", true);
  many.say("last");
  EXPECT_NE(many.refusal(), "");
  raw_client none(h, keys);
  none.say("");
  EXPECT_NE(none.refusal(), "");
  EXPECT_TRUE(wait_until([&] { return h.link->counters().malformed == 2; }));
}

TEST_F(head_link_test, a_peer_that_does_not_begin_with_hello_is_told_so_and_may_still_say_it) {
  raw_client client(h, key());
  client.say(wire::encode(wire::from_node{wire::node_heartbeat{1}}));
  EXPECT_EQ(client.refusal(), "say hello first");
  client.hello("late");
  EXPECT_TRUE(h.wait_for<wire::hello>());
  EXPECT_TRUE(h.all<wire::node_heartbeat>().empty());
}

TEST_F(head_link_test, a_peer_that_went_away_is_noticed_when_something_is_sent) {
  auto keys = key();
  {
    node n(h, keys);
    ASSERT_TRUE(wait_until([&] { return n.connected == 1; }));
  }
  auto connection = h.last_connection();
  ASSERT_TRUE(wait_until([&] {
    h.link->send(connection, wire::head_heartbeat{1});
    return h.closed().size() == 1;
  }));
  EXPECT_EQ(h.closed()[0].first.connection, connection);
  EXPECT_GT(h.link->counters().undeliverable, 0u);
}

TEST_F(head_link_test, a_peer_that_only_transfers_is_seen_to_live) {
  raw_client client(h, key());
  client.hello("busy");
  ASSERT_TRUE(h.wait_for<wire::hello>());
  auto hash = h.blobs.add("content");
  ASSERT_TRUE(wait_until([&] {
    client.say(wire::encode(wire::from_node{wire::fetch{hash, 0, 1}}));
    return h.all<wire::node_heartbeat>().size() >= 2;
  }));
}

TEST_F(head_link_test, a_peer_closed_by_the_head_hears_why_and_dials_anew) {
  node n(h, key());
  ASSERT_TRUE(wait_until([&] { return n.connected == 1; }));
  h.link->close(h.last_connection(), "drained");
  EXPECT_TRUE(wait_until([&] { return n.lost == 1 && n.connected == 2; }));
  EXPECT_TRUE(h.closed().empty()) << "the head knows, it did it";
}

// Goal: what the head has heard and not dealt with is bounded. Method: the head deals with nothing.
TEST_F(head_link_test, a_peer_that_says_more_than_is_dealt_with_is_passed_over_then_cut_and_no_other_is) {
  auto keys = key();
  raw_client loud(h, keys), other(h, key());
  loud.hello("loud");
  ASSERT_TRUE(h.wait_for<wire::hello>());
  h.dealing = false;
  const admission_limits limits;
  for (std::size_t n = 0; n < limits.losable_messages_max + 10; ++n)
    loud.say(wire::encode(wire::from_node{wire::progress{{"j", 0, 1}, 0.5, "half"}}));
  ASSERT_TRUE(wait_until([&] { return h.link->counters().passed_over == 10; }));
  EXPECT_EQ(h.count<wire::progress>(), limits.losable_messages_max);
  EXPECT_EQ(h.closed().size(), 0u);
  for (std::size_t n = limits.losable_messages_max; n <= limits.messages_max; ++n)
    loud.say(wire::encode(wire::from_node{wire::failed{{"j", 0, n}, "cpu0", "unknown", "", "", 1}}));
  EXPECT_EQ(loud.refusal(), "it says more than the head can deal with");
  ASSERT_TRUE(wait_until([&] { return h.closed().size() == 1; }));
  EXPECT_EQ(h.count<wire::failed>(), limits.messages_max - limits.losable_messages_max) << "none was left out";
  other.hello("other");
  EXPECT_TRUE(h.wait_for<wire::hello>(2));
  raw_client again(h, keys);
  again.hello("again");
  EXPECT_NE(again.refusal(), "") << "the head is as far behind as it was";
  for (std::size_t n = 0; n < limits.losable_messages_max; ++n)
    h.link->handled(keys.public_key, wire::encode(wire::from_node{wire::progress{{"j", 0, 1}, 0.5, "half"}}).size());
  raw_client later(h, keys);
  later.hello("later");
  EXPECT_TRUE(h.wait_for<wire::hello>(3));
}

TEST_F(head_link_test, a_silent_head_is_lost_and_dialled_again) {
  node n(h, key());
  ASSERT_TRUE(wait_until([&] { return n.connected == 1; }));
  h.silent = true;
  ASSERT_TRUE(wait_until([&] { return n.lost == 1; }));
  EXPECT_FALSE(n.link->send(wire::goodbye{"into the void"}) && n.link->connected());
  h.silent = false;
  EXPECT_TRUE(wait_until([&] { return n.connected == 2; }));
}

TEST_F(head_link_test, many_messages_arrive_in_order_both_ways) {
  node n(h, key());
  ASSERT_TRUE(wait_until([&] { return n.connected == 1; }));
  constexpr int count = 20'000;
  const auto connection = h.last_connection();
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(n.link->send(wire::progress{{"job", static_cast<std::uint32_t>(i), 1}, 0.5, "x"}));
    ASSERT_TRUE(h.link->send(connection, wire::cancel{{"job", 1, 1}}));
    if (i % 500 == 499) { // who is told more than it reads is cut off, which another test sees to
      ASSERT_TRUE(wait_until([&] { return n.messages > i - 500; }, 20'000));
    }
  }
  ASSERT_TRUE(h.wait_for<wire::progress>(count, 20'000));
  ASSERT_TRUE(wait_until([&] { return n.messages == count; }, 20'000));
  auto heard = h.all<wire::progress>();
  for (int i = 0; i < count; ++i)
    ASSERT_EQ(heard[static_cast<std::size_t>(i)].second.ref.stage, static_cast<std::uint32_t>(i));
  EXPECT_EQ(n.lost, 0);
}

TEST(head_link_open, says_what_is_wrong_with_an_address) {
  head h;
  support::memory_blobs blobs;
  EXPECT_EQ(head_link::open({{h.endpoint()}, make_key_pair()}, blobs, {}).error().code, "address_in_use");
  EXPECT_EQ(head_link::open({{"tcp://no such host:1"}, make_key_pair()}, blobs, {}).error().code, "link");
  EXPECT_EQ(head_link::open({{"ipc:///tmp/" + std::string(200, 'x')}, make_key_pair()}, blobs, {}).error().code,
            "link");
  EXPECT_EQ(head_link::open({{"tcp://127.0.0.1:0"}, {"short", "keys"}}, blobs, {}).error().code, "link");
  EXPECT_EQ(node_link::open({{h.endpoint()}, "short", make_key_pair()}, {}).error().code, "malformed");
  EXPECT_EQ(node_link::open({{}, h.keys().public_key, make_key_pair()}, {}).error().code, "malformed");
}

TEST(head_link_restart, a_node_finds_the_next_head_on_the_same_address_by_itself) {
  auto endpoint = "ipc:///tmp/troupe-link-" + random_hex(6);
  auto keys = make_key_pair(), node_keys = make_key_pair();
  auto first = std::make_unique<head>(endpoint, keys);
  first->allow(node_keys.public_key);
  node n(endpoint, keys.public_key, node_keys, "n1");
  ASSERT_TRUE(wait_until([&] { return n.connected == 1; }));
  first.reset();
  ASSERT_TRUE(wait_until([&] { return n.lost == 1; }));
  head second(endpoint, keys);
  second.allow(node_keys.public_key);
  EXPECT_TRUE(wait_until([&] { return n.connected == 2; }));
}
