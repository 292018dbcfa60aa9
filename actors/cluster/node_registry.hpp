#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace troupe {

/// Which node each CURVE key belongs to. Thread-safe: the link asks at each handshake, the cluster at each hello.
class node_registry {
public:
  /// A node has one key: an earlier one of the same name is forgotten.
  void allow(const std::string& name, const std::string& public_key) {
    std::lock_guard guard(mutex_);
    std::erase_if(names_, [&](const auto& entry) { return entry.second == name; });
    names_[public_key] = name;
  }
  void revoke(const std::string& name) {
    std::lock_guard guard(mutex_);
    std::erase_if(names_, [&](const auto& entry) { return entry.second == name; });
  }
  std::optional<std::string> name_of(const std::string& public_key) const {
    std::lock_guard guard(mutex_);
    auto found = names_.find(public_key);
    return found == names_.end() ? std::nullopt : std::optional(found->second);
  }

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> names_; // public key → name
};

} // namespace troupe
