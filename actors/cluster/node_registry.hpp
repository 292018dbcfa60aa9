#pragma once

#include "common/clock.hpp"
#include "common/json.hpp"

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace troupe {

/// Whether a device gets work: `enabled`; `draining`, where what runs ends and nothing new begins; `quarantined`, the
/// same for one that the operator does not trust.
inline constexpr const char* enabled = "enabled";
inline constexpr const char* draining = "draining";
inline constexpr const char* quarantined = "quarantined";

/// The name of the node that the head starts by itself.
inline constexpr const char* local_node = "local";

/// What the operator has said of a node; a row of the table nodes.
struct node_record {
  std::string public_key; // Z85; of the local node none: its key is in the data directory
  timestamp added_at = 0;
  std::string state = enabled;                // of the whole node: enabled or draining
  std::map<std::string, std::string> devices; // name on the node → state, where it is not enabled
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(node_record, public_key, added_at, state, devices)

/// The nodes that may join, and which of them each CURVE key belongs to. Thread-safe: the link asks at each handshake,
/// the cluster at each hello.
class node_registry {
public:
  /// A node has one key: an earlier one of the same name is forgotten.
  void put(const std::string& name, node_record record) {
    std::lock_guard guard(mutex_);
    forget_key_of(name);
    if (!record.public_key.empty())
      names_[record.public_key] = name;
    records_[name] = std::move(record);
  }
  void remove(const std::string& name) {
    std::lock_guard guard(mutex_);
    forget_key_of(name);
    records_.erase(name);
  }
  std::optional<std::string> name_of(const std::string& public_key) const {
    std::lock_guard guard(mutex_);
    auto found = names_.find(public_key);
    return found == names_.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<node_record> find(const std::string& name) const {
    std::lock_guard guard(mutex_);
    auto found = records_.find(name);
    return found == records_.end() ? std::nullopt : std::optional(found->second);
  }
  std::map<std::string, node_record> all() const {
    std::lock_guard guard(mutex_);
    return records_;
  }

private:
  void forget_key_of(const std::string& name) {
    if (auto found = records_.find(name); found != records_.end())
      names_.erase(found->second.public_key);
  }

  mutable std::mutex mutex_;
  std::map<std::string, node_record> records_;         // by name
  std::unordered_map<std::string, std::string> names_; // by public key
};

} // namespace troupe
