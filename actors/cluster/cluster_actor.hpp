#pragma once

#include "actors/address_book.hpp"
#include "actors/base/visible.hpp"
#include "actors/cluster/capabilities.hpp"
#include "actors/cluster/cluster_messages.hpp"
#include "actors/cluster/node_registry.hpp"
#include "actors/device/device_actor.hpp"
#include "actors/scheduler/scheduler_messages.hpp"
#include "gpu/link/head_link.hpp"
#include "storage/journal.hpp"

#include <map>
#include <set>
#include <unordered_map>

namespace troupe {

struct cluster_options {
  std::int64_t node_timeout_ms = 4'000; // silent for longer: lost
  std::uint32_t heartbeat_ms = 1'000;
  std::uint32_t lease_ms = 30'000;
  std::int64_t return_ms = 60'000; // after a start, how long what nodes offered before still counts
  std::size_t devices_max = 256;   // of one node
  wire::version_range versions = wire::spoken_versions;
  has_artifact is_here = [](const wire::artifact&) { return true; }; // whether the head has a file, whole in length
  has_job is_job = [](const std::string&) { return true; };
};

/// The CLUSTER: which nodes are there and what they offer. It hears the link, keeps a device actor for each device, and
/// tells the scheduler which come and go.
class cluster_actor final : public visible {
public:
  cluster_actor(caf::actor_config& config, actor_board& board, address_book_ptr others, link::head_link& link,
                node_registry& registry, capabilities& offered, storage::journal& journal, cluster_options options);
  caf::behavior make_behavior() override;
  void on_exit() override {
    link_.fall_silent();
    visible::on_exit();
  }

protected:
  json state_json() const override;

private:
  struct node {
    std::string name, public_key, connection, session;
    bool connected = false;
    std::int64_t heard_at = 0; // steady
    timestamp joined_at = 0;
    std::vector<wire::device_report> devices;
    std::vector<wire::engine_report> engines;
    std::uint64_t hello = 0;                        // the last one; they rise over all nodes
    int version = 0;                                // of the protocol, as agreed
    std::string unknown_fields;                     // that it said on this connection
    std::map<wire::attempt_ref, std::string> given; // what it was assigned, or says it runs → on which device
  };
  /// What last went wrong with a node; it may be none that ever was welcome.
  struct trouble {
    std::string what;
    timestamp at = 0;
  };

  caf::result<void> said(node_said& m);
  void hear(node_said& m);
  caf::result<void> closed(connection_closed& m);
  caf::result<void> unknown_fields(unknown_fields_said& m);
  caf::result<void> tick(cluster_tick& m);
  caf::result<description> nodes(list_nodes& m);
  caf::result<description> devices(list_devices& m);
  caf::result<void> run(run_stage& m);
  caf::result<void> stop(stop_stage& m);
  caf::result<description> asked(attempt_asked& m);
  caf::result<description> allow(allow_node& m);
  caf::result<description> remove(remove_node& m);
  caf::result<description> set(set_state& m);
  caf::result<void> written(cluster_written& m);
  caf::result<void> faulty(device_quarantined& m);

  void welcome(node_said& m, wire::hello& hello);
  /// Why this hello is not to be answered with a welcome; "" when it is.
  std::string objection_to(const wire::hello& hello) const;
  void turn_away(const std::string& name, const std::string& connection, const std::string& why);
  void report(node& from, wire::from_node&& what);
  /// Tells it, and keeps what was heard open until it has been dealt with.
  template <class Message>
  void pass_on(const caf::actor& to, Message message);
  void take_devices(node& n, wire::hello& hello);
  void take_device(node& n, const wire::device_report& d, const wire::hello& hello,
                   const std::map<std::string, std::uint32_t>& needs);
  static bool runs_on(const wire::device_report& device, const std::string& kind);
  static std::map<std::string, std::uint32_t> vram_needs(const node& n);
  void drop_device(node& n, const std::string& device, const wire::hello& hello);
  std::uint64_t session_of(const std::string& device);
  /// Tells the device what a hello says of it.
  void introduce(node& n, const std::string& device, const caf::actor& to, const wire::hello& hello, bool is_listed);
  void note_trouble(const std::string& name, std::string what);
  void lose(node& n, const std::string& why, bool left = false);
  node* node_of(const std::string& connection);
  caf::actor device(const std::string& name, bool make);
  void publish_capabilities();
  void publish_capabilities_soon();
  struct change;
  /// Writes the record with the rows; then it counts, and the asker is answered.
  caf::result<description> write(change what, std::vector<storage::row> rows);
  void apply_record(const std::string& name, const std::optional<node_record>& record);
  static std::string wanted_state(const node_record& record, const std::string& device);
  /// The names on the node of those that it lists, and of those that are away and of which something is remembered.
  std::set<std::string> devices_of(const std::string& name) const;
  json device_json(const std::string& name, const node_record& record, const std::string& device) const;
  json node_json(const node& n) const;
  /// What gets no work although the operator has just enabled the device, or with "" the node; and why.
  json held_back(const std::string& name, const std::string& device) const;
  json absent_json(const std::string& name) const;

  actor_board& all_actors_;
  address_book_ptr others_;
  link::head_link::speaker link_;
  node_registry& registry_;
  capabilities& offered_;
  storage::journal& journal_;
  std::int64_t started_at_ = steady_ms();
  std::int64_t ticked_at_ = 0; // steady
  std::string kept_;           // the capabilities as they were last written
  cluster_options options_;
  std::shared_ptr<void> heard_; // what a node said, while it is dealt with: its end tells the link
  bool publishing_ = false;
  std::map<std::string, node> nodes_;                          // by name
  std::unordered_map<std::string, std::string> by_connection_; // → name, of those that are connected
  std::map<std::string, trouble> troubles_;                    // by name
  std::map<std::string, caf::actor> devices_;                  // node/device
  std::map<std::string, std::uint64_t> sessions_;              // node/device, from its joining to its loss
  std::uint64_t sessions_begun_ = 0, hellos_ = 0;
  std::map<std::string, std::string> faulty_; // node/device → why the scheduler has it in quarantine
  struct change {
    std::string name;
    std::optional<node_record> record = {};  // none: it is removed
    std::set<std::string> devices = {};      // on the node: whose state it may have changed
    std::optional<std::string> enabled = {}; // the device; "": the whole node
    caf::typed_response_promise<description> asker = {};
  };
  std::map<std::uint64_t, change> changes_; // on their way to the disk, by ticket
  std::uint64_t next_ticket_ = 0;
};

} // namespace troupe
