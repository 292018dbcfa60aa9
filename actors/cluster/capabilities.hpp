#pragma once

#include "common/json.hpp"

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

/// Kept in table meta, so that a head that starts takes work for the engines that it knew, while its nodes come back.
inline constexpr const char* capabilities_row = "capabilities";

inline json to_json(const std::map<std::string, capability>& all) {
  json out = json::object();
  for (const auto& [kind, can] : all)
    out[kind] = {
        {"available", can.available}, {"preview", can.preview}, {"engine", can.engine}, {"reason", can.reason}};
  return out;
}
inline std::map<std::string, capability> capabilities_from_json(const json& in) {
  std::map<std::string, capability> out;
  for (const auto& [kind, can] : in.items())
    out[kind] = {can.value("available", false), can.value("preview", false), can.value("engine", std::string{}),
                 can.value("reason", std::string{})};
  return out;
}

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
