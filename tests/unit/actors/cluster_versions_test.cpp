// A head that speaks two versions of the node protocol, on real sockets: whom it serves, whom it refuses, also for
// the names that it says, and what both sides say of it.

#include "actors/cluster/cluster_actor.hpp"
#include "actors/messages.hpp"
#include "common/log.hpp"
#include "tests/support/database.hpp"
#include "tests/unit/gpu/link/link_support.hpp"

#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>
#include <zmq.hpp>

namespace troupe {
namespace {

using link::support::memory_blobs;
using storage::testing::eventually;

/// What is logged while it lives.
class kept_log {
public:
  kept_log() { spdlog::set_default_logger(std::make_shared<spdlog::logger>("kept", lines_)); }
  ~kept_log() { spdlog::set_default_logger(before_); }
  kept_log(const kept_log&) = delete;
  kept_log& operator=(const kept_log&) = delete;
  bool says(const std::string& words) const { return lines_->says(words); }

private:
  struct sink final : spdlog::sinks::base_sink<std::mutex> {
    bool says(const std::string& words) {
      std::lock_guard guard(mutex_);
      return all.find(words) != std::string::npos;
    }
    void sink_it_(const spdlog::details::log_msg& m) override {
      all.append(m.payload.data(), m.payload.size()).append("\n");
    }
    void flush_() override {}
    std::string all;
  };
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::shared_ptr<sink> lines_ = std::make_shared<sink>();
};

/// The cluster's actor behind a real link. What it would tell the scheduler and jobs is kept.
class running_head {
public:
  running_head(wire::version_range versions, storage::journal& journal) {
    others_->scheduler = system_.spawn([this](caf::event_based_actor* self) -> caf::behavior {
      self->set_default_handler(caf::drop);
      return {[this](device_joined& m) {
        held_ = m.what.running.size();
        session_ = m.what.session;
      }};
    });
    others_->directory = system_.spawn([this](caf::event_based_actor* self) -> caf::behavior {
      self->set_default_handler(caf::drop);
      return {[this](route& r) -> caf::result<description> {
        auto told = r.content.get_as<stage_report>(0);
        finished_ += std::holds_alternative<wire::finished>(told.what) ? 1 : 0;
        return description{};
      }};
    });
    link::head_link_handler handler;
    handler.allowed = [this](const std::string& key) { return nodes_.name_of(key).has_value(); };
    handler.on_message = [this](const link::peer& from, wire::from_node&& what, std::size_t bytes) {
      caf::anon_send(cluster(), node_said{from.connection, from.public_key, std::move(what), bytes});
    };
    handler.on_closed = [this](const link::peer& from, const std::string& why) {
      caf::anon_send(cluster(), connection_closed{from.connection, from.public_key, why});
    };
    handler.on_unknown_fields = [this](const link::peer& from, const std::string& fields) {
      caf::anon_send(cluster(), unknown_fields_said{from.connection, fields});
    };
    link_ = std::move(link::head_link::open({{"tcp://127.0.0.1:0"}, keys_}, blobs_, std::move(handler)).value());
    cluster_options options;
    options.versions = versions;
    options.node_timeout_ms = 60'000;
    options.heartbeat_ms = 100;
    others_->cluster = system_.spawn<cluster_actor>(std::ref(board_), others_, std::ref(*link_), std::ref(nodes_),
                                                    std::ref(offered_), std::ref(journal), options);
    ready_.set_value();
  }
  ~running_head() {
    for (auto* who : {&others_->cluster, &others_->directory, &others_->scheduler})
      caf::anon_send_exit(*who, caf::exit_reason::user_shutdown);
    system_.await_all_actors_done();
    link_.reset();
    others_->clear();
  }
  running_head(const running_head&) = delete;
  running_head& operator=(const running_head&) = delete;

  /// Lets a node of this name join.
  link::key_pair add(const std::string& name) {
    auto keys = link::make_key_pair();
    nodes_.put(name, {keys.public_key, 0, enabled, {}});
    return keys;
  }
  /// Gives the node's device cpu0 a stage.
  void give(const std::string& name) {
    wire::assign what;
    what.ref = {"job", 0, 1};
    what.device = "cpu0";
    what.kind = "test.work";
    caf::anon_send(cluster(), run_stage{name + "/cpu0", what, session_});
  }
  /// What the operator sees of the node.
  json shown(const std::string& name) {
    caf::scoped_actor self{system_};
    json out;
    self->request(cluster(), caf::infinite, list_nodes{"test"})
        .receive(
            [&](description& all) {
              for (const auto& one : all.value.at("nodes"))
                if (one.at("name") == name)
                  out = one;
            },
            [](caf::error&) {});
    return out;
  }
  std::string endpoint() const { return link_->endpoints().front(); }
  const std::string& key() const { return keys_.public_key; }
  std::uint64_t joined() const { return session_; }
  std::size_t held() const { return held_; } // attempts, by the device that has joined
  int finished() const { return finished_; }

private:
  /// The link hears nodes before the actor is there.
  const caf::actor& cluster() {
    is_ready_.wait();
    return others_->cluster;
  }

  static caf::actor_system_config& config_of(caf::actor_system_config& config) {
    static std::once_flag once;
    std::call_once(once, register_messages);
    return config;
  }

  caf::actor_system_config config_;
  caf::actor_system system_{config_of(config_)};
  std::promise<void> ready_;
  std::shared_future<void> is_ready_ = ready_.get_future().share();
  address_book_ptr others_ = std::make_shared<address_book>();
  actor_board board_;
  node_registry nodes_;
  capabilities offered_;
  memory_blobs blobs_;
  link::key_pair keys_ = link::make_key_pair();
  std::unique_ptr<link::head_link> link_;
  std::atomic<std::size_t> held_{0};
  std::atomic<std::uint64_t> session_{0};
  std::atomic<int> finished_{0};
};

/// A node that says what it is told to.
class talker {
public:
  talker(const running_head& head, std::string name, const link::key_pair& keys) : name_(std::move(name)) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(10'000 * link::support::patience()));
    socket_.set(zmq::sockopt::curve_serverkey, head.key());
    socket_.set(zmq::sockopt::curve_publickey, keys.public_key);
    socket_.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    socket_.connect(head.endpoint());
  }
  void hello(json more) {
    wire::hello h;
    h.node = name_;
    h.session = "s";
    h.devices.push_back({"cpu0", "cpu", "test", 1, 0, {"test.work"}});
    h.engines.push_back({"test", "1", {{"test.work", 0, false}}, true, "", ""});
    say(wire::from_node{h}, more);
  }
  void say(const wire::from_node& what, const json& more = json::object()) {
    auto map = from_msgpack(wire::encode(what)).value();
    map.update(more);
    say(map);
  }
  void say(const json& map) { socket_.send(zmq::buffer(to_msgpack(map))); }
  /// The next of this type, within the deadline.
  template <class Message>
  std::optional<Message> hear() {
    auto patience = std::chrono::milliseconds(socket_.get(zmq::sockopt::rcvtimeo));
    auto end = std::chrono::steady_clock::now() + patience;
    zmq::message_t frame;
    while (std::chrono::steady_clock::now() < end && socket_.recv(frame)) // a head that is content sends heartbeats
      if (auto what = wire::decode_to_node(frame.to_string_view()))
        if (auto* wanted = std::get_if<Message>(&*what))
          return *wanted;
    return std::nullopt;
  }

private:
  std::string name_;
  zmq::context_t context_;
  zmq::socket_t socket_{context_, zmq::socket_type::dealer};
};

json device(const std::string& name, const json& more = json::object()) {
  json out = {{"name", name}, {"type", "cpu"}, {"model", "test"},
              {"slots", 1},   {"vram_mib", 0}, {"kinds", json::array({"test.work"})}};
  out.update(more);
  return out;
}

struct ClusterVersions : storage::testing::storage_test {
  kept_log said;

  void refused(json hello, const std::string& word) {
    running_head head({1, 2}, db->journal());
    talker node(head, "n", head.add("n"));
    node.hello(std::move(hello));
    auto answer = node.hear<wire::refused>();
    ASSERT_TRUE(answer);
    EXPECT_NE(answer->reason.find(word), std::string::npos) << answer->reason;
    EXPECT_TRUE(said.says("node n is refused: " + word)) << "the head's log says it";
    EXPECT_NE(head.shown("n").value("last_problem", "").find(word), std::string::npos) << "the operator is told";
    EXPECT_EQ(head.joined(), 0u) << "its devices get nothing";
  }
};

} // namespace

TEST_F(ClusterVersions, AHeadServesANodeOfTheVersionBeforeInThatVersion) {
  running_head head({1, 2}, db->journal());
  talker node(head, "old", head.add("old"));
  node.hello({{"version", 1}, {"colour", "green"}});
  auto welcome = node.hear<wire::welcome>();
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->version, 1);
  ASSERT_TRUE(eventually([&] { return head.joined() != 0; }));
  head.give("old");
  auto order = node.hear<wire::assign>();
  ASSERT_TRUE(order);
  node.say(wire::finished{order->ref, order->device, "test/1", false, 1, {}}, {{"watts", 300}});
  EXPECT_TRUE(eventually([&] { return head.finished() == 1; }));
  EXPECT_EQ(head.shown("old").value("protocol_version", 0), 1);
  EXPECT_TRUE(eventually([&] { return head.shown("old").value("unknown_fields", "") == "colour, watts"; }));
  EXPECT_TRUE(said.says("node old says fields that this head does not know: watts"));
}

// Goal: a node that was lost and comes back with a result has free devices; they are not to be given the stage anew.
TEST_F(ClusterVersions, TheSchedulerIsToldOfResultsThatANodeComesBackWith) {
  running_head head({1, 2}, db->journal());
  talker node(head, "back", head.add("back"));
  json ended = {{"ref", {{"job", "job"}, {"stage", 0}, {"attempt", 1}}}, {"device", "cpu0"}, {"run_ms", 1}};
  auto finished = ended, failed = ended;
  finished.update({{"engine", "test/1"}, {"preview", false}, {"outputs", json::array()}});
  failed.update({{"fault", "unknown"}, {"message", "no"}, {"artifact", ""}});
  failed["ref"]["stage"] = 1;
  node.hello({{"unacknowledged", {finished}}, {"unacknowledged_failures", {failed}}});
  ASSERT_TRUE(eventually([&] { return head.joined() != 0; }));
  EXPECT_EQ(head.held(), 1u) << "what failed waits already, for anybody";
}

TEST_F(ClusterVersions, AHeadSpeaksItsNewestVersionWithANodeThatHasIt) {
  running_head head({1, 2}, db->journal());
  talker same(head, "same", head.add("same")), newer(head, "newer", head.add("newer"));
  same.hello({{"version", 2}, {"oldest_version", 1}});
  newer.hello({{"version", 3}, {"oldest_version", 2}});
  for (auto* node : {&same, &newer}) {
    auto welcome = node->hear<wire::welcome>();
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->version, 2);
  }
}

TEST_F(ClusterVersions, AHeadRefusesANodeThatOnlySpeaksNewerOnes) {
  refused({{"version", 3}, {"oldest_version", 3}},
          "this head speaks versions 1 to 2 of the node protocol, the node version 3");
}

TEST_F(ClusterVersions, AHeadRefusesANodeThatIsTooOld) {
  refused({{"version", 0}, {"oldest_version", 0}},
          "this head speaks versions 1 to 2 of the node protocol, the node version 0");
}

TEST_F(ClusterVersions, AHeadRefusesDevicesThatNoPathCanName) {
  for (const auto* name : {".", "..", "a/../b", "../gpu", "gpu/.", "a\\..\\b"})
    refused({{"devices", json::array({device(name)})}}, "no part of a device's name can be '.' or '..'");
  auto gone = json{{"ref", {{"job", "j"}, {"stage", 0}, {"attempt", 1}}}, {"device", ".."}, {"fault", "device"}};
  gone.update({{"message", ""}, {"artifact", ""}, {"run_ms", 1}});
  refused({{"unacknowledged_failures", json::array({gone})}}, "no part of a device's name can be '.' or '..'");
}

TEST_F(ClusterVersions, AHeadRefusesNamesThatDriveATerminal) {
  const std::string odd = "x\x1b[2J\u009b2J\n\x7f", word = "a name has control characters: x?[2J?2J??";
  auto devices = [](json one) { return json{{"devices", json::array({std::move(one)})}}; };
  auto engines = [](json more) {
    json one = {{"name", "test"}, {"version", "1"}, {"available", true}, {"reason", ""}, {"needs", ""}};
    one["operations"] = json::array({{{"kind", "test.work"}, {"vram_mib", 0}, {"preview", false}}});
    one.update(more);
    return json{{"engines", json::array({std::move(one)})}};
  };
  refused(devices(device(odd)), word);
  for (const auto* field : {"type", "model"})
    refused(devices(device("cpu0", {{field, odd}})), word);
  refused(devices(device("cpu0", {{"kinds", json::array({"test.work", odd})}})), word);
  for (const auto* field : {"name", "version"})
    refused(engines({{field, odd}}), word);
  refused(engines({{"operations", json::array({{{"kind", odd}, {"vram_mib", 0}, {"preview", false}}})}}), word);
}

TEST_F(ClusterVersions, AMessageThatAHeadDoesNotKnowIsRefusedByNameAndItsNodeMayComeBack) {
  running_head head({1, 2}, db->journal());
  auto keys = head.add("odd");
  talker node(head, "odd", keys);
  node.hello({{"version", 1}});
  ASSERT_TRUE(node.hear<wire::welcome>());
  node.say(json{{"t", "telemetry"}, {"watts", 300}});
  auto answer = node.hear<wire::refused>();
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->reason.find("unknown type \"telemetry\""), std::string::npos) << answer->reason;
  EXPECT_TRUE(
      eventually([&] { return head.shown("odd").value("last_problem", "").find("telemetry") != std::string::npos; }));
  talker again(head, "odd", keys);
  again.hello({{"version", 1}});
  EXPECT_TRUE(again.hear<wire::welcome>());
}

// Of today's node, as it is built: the word of a head that has gone on without it is in its own log.
TEST_F(ClusterVersions, ANodeSaysWhyAHeadOfTwoVersionsOnRefusesIt) {
  running_head head({2, 3}, db->journal());
  link::node_link_handler handler;
  std::atomic<int> welcomes{0};
  handler.say_hello = [] {
    wire::hello h;
    h.node = "n";
    h.session = "s";
    return h;
  };
  handler.on_connected = [&](const wire::welcome&) { ++welcomes; };
  auto node = link::node_link::open({{head.endpoint()}, head.key(), head.add("n")}, handler).value();
  EXPECT_TRUE(eventually([&] {
    return said.says("refused: this head speaks versions 2 to 3 of the node protocol, the node version 1; bring both "
                     "to the same release");
  }));
  EXPECT_EQ(welcomes, 0);
}

} // namespace troupe
