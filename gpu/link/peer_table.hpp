#pragma once

// Whom the head talks to, without sockets: which connection a routing id stands for, and which are closed.
//
// 1. A connection's name is never used twice, although a client may pick its routing id again.
// 2. A connection belongs to one public key; the same routing id under another key is another connection.
// 3. A closed routing id is not heard again, as long as it is among the last `closed_max` ones.
// 4. What waits for a slow reader is bounded.

#include "gpu/link/head_link.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace troupe::link {

struct peer_limits {
  std::size_t peers_max = 20'000;
  std::size_t closed_max = 10'000;
  std::size_t backlog_frames_max = 10'000;
  std::size_t backlog_bytes_max = 16 << 20;
  std::int64_t slow_ms_max = 10'000;   // a peer that reads nothing for longer is closed
  std::int64_t silent_ms_max = 60'000; // so is one that says nothing
};

/// What is sent, and what is to be let go of once the line has taken it.
struct frame {
  std::string bytes;
  std::shared_ptr<void> in_flight = {};
};

struct peer_entry {
  link::peer peer;
  std::string routing_id;
  std::int64_t heard_at = 0;       // steady ms
  std::int64_t shown_alive_at = 0; // when its transfers last stood for a heartbeat
  std::deque<frame> backlog;       // what its full pipe did not take
  std::size_t backlog_bytes = 0;
  std::int64_t slow_since = 0;
  std::unordered_set<std::string> unknown_fields; // that it was heard to say
};

class peer_table {
public:
  explicit peer_table(peer_limits limits = {}) : limits_(limits) {}

  bool is_closed(const std::string& routing_id) const { return closed_.contains(routing_id); }
  peer_entry* by_routing_id(const std::string& routing_id);
  peer_entry* by_connection(const std::string& connection);
  /// Null when there are too many.
  peer_entry* add(const std::string& routing_id, std::string_view public_key, std::int64_t now);
  /// Forgets the connection; with `deaf`, what still comes from its routing id is to be dropped.
  void remove(const std::string& connection, bool deaf);
  void close_routing_id(const std::string& routing_id);
  /// Keeps a frame for later. False when too much waits.
  bool hold_back(peer_entry& entry, frame what, std::int64_t now);
  void drop_first_held(peer_entry& entry, std::int64_t now);
  bool any_backlog() const { return slow_ > 0; }
  std::vector<std::string> with_backlog() const;
  /// Connections that have been silent, or slow, for too long.
  std::vector<link::peer> overdue(std::int64_t now) const;
  std::size_t size() const { return by_connection_.size(); }

private:
  peer_limits limits_;
  std::uint64_t named_ = 0;
  std::size_t slow_ = 0;
  std::unordered_map<std::string, peer_entry> by_connection_;
  std::unordered_map<std::string, std::string> by_routing_id_; // to the connection
  std::unordered_set<std::string> closed_;
  std::deque<std::string> closed_order_;
};

} // namespace troupe::link
