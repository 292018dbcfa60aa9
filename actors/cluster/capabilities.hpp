#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace troupe {

/// What the cluster can do now, by stage kind: written by the cluster actor, read by whoever quotes or lists models.
struct capability {
  bool available = false;
  bool preview = false; // by an embedded stand-in
  std::string engine;
  std::string reason; // why not
};

class capabilities {
public:
  void replace(std::map<std::string, capability> all) {
    std::lock_guard guard(mutex_);
    all_ = std::move(all);
  }
  /// A kind that no node ever offered is unavailable for that reason.
  capability of(const std::string& kind) const {
    std::lock_guard guard(mutex_);
    auto found = all_.find(kind);
    if (found != all_.end())
      return found->second;
    return {false, false, {}, all_.empty() ? "no node is connected" : "no node has an engine for it"};
  }
  std::map<std::string, capability> all() const {
    std::lock_guard guard(mutex_);
    return all_;
  }

private:
  mutable std::mutex mutex_;
  std::map<std::string, capability> all_;
};

} // namespace troupe
