#include "gpu/link/peer_table.hpp"

namespace troupe::link {

peer_entry* peer_table::by_routing_id(const std::string& routing_id) {
  auto found = by_routing_id_.find(routing_id);
  return found == by_routing_id_.end() ? nullptr : by_connection(found->second);
}

peer_entry* peer_table::by_connection(const std::string& connection) {
  auto found = by_connection_.find(connection);
  return found == by_connection_.end() ? nullptr : &found->second;
}

peer_entry* peer_table::add(const std::string& routing_id, std::string_view public_key, std::int64_t now) {
  if (by_connection_.size() >= limits_.peers_max)
    return nullptr;
  auto connection = "c" + std::to_string(++named_);
  auto& entry = by_connection_[connection];
  entry.peer = {connection, std::string(public_key)};
  entry.routing_id = routing_id;
  entry.heard_at = now;
  by_routing_id_[routing_id] = connection;
  return &entry;
}

void peer_table::remove(const std::string& connection, bool deaf) {
  auto found = by_connection_.find(connection);
  if (found == by_connection_.end())
    return;
  if (!found->second.backlog.empty())
    --slow_;
  by_routing_id_.erase(found->second.routing_id);
  if (deaf)
    close_routing_id(found->second.routing_id);
  by_connection_.erase(found);
}

void peer_table::close_routing_id(const std::string& routing_id) {
  if (!closed_.insert(routing_id).second)
    return;
  closed_order_.push_back(routing_id);
  if (closed_order_.size() > limits_.closed_max) {
    closed_.erase(closed_order_.front());
    closed_order_.pop_front();
  }
}

bool peer_table::hold_back(peer_entry& entry, frame what, std::int64_t now) {
  if (entry.backlog.size() >= limits_.backlog_frames_max ||
      entry.backlog_bytes + what.bytes.size() > limits_.backlog_bytes_max)
    return false;
  if (entry.backlog.empty()) {
    ++slow_;
    entry.slow_since = now;
  }
  entry.backlog_bytes += what.bytes.size();
  entry.backlog.push_back(std::move(what));
  return true;
}

void peer_table::drop_first_held(peer_entry& entry, std::int64_t now) {
  entry.backlog_bytes -= entry.backlog.front().bytes.size();
  entry.backlog.pop_front();
  entry.slow_since = now; // it took one: it lives
  if (entry.backlog.empty())
    --slow_;
}

std::vector<std::string> peer_table::with_backlog() const {
  std::vector<std::string> out;
  for (const auto& [connection, entry] : by_connection_)
    if (!entry.backlog.empty())
      out.push_back(connection);
  return out;
}

std::vector<peer> peer_table::overdue(std::int64_t now) const {
  std::vector<link::peer> out;
  for (const auto& [connection, entry] : by_connection_) {
    bool slow = !entry.backlog.empty() && now - entry.slow_since > limits_.slow_ms_max;
    if (slow || now - entry.heard_at > limits_.silent_ms_max)
      out.push_back(entry.peer);
  }
  return out;
}

} // namespace troupe::link
