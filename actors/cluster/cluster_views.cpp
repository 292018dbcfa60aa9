#include "actors/cluster/cluster_actor.hpp"

// What the cluster tells of itself: its nodes and devices to admins, and what can be run now to those who offer and
// place work.

#include <algorithm>

namespace troupe {

namespace {

constexpr auto publish_after = std::chrono::milliseconds(20); // many nodes come at once when a head has started

} // namespace

caf::result<description> cluster_actor::nodes(list_nodes&) {
  json out = json::array();
  for (const auto& [name, record] : registry_.all()) {
    auto found = nodes_.find(name);
    out.push_back(found == nodes_.end() ? absent_json(name) : node_json(found->second));
  }
  return description{{{"nodes", std::move(out)}}};
}

caf::result<description> cluster_actor::devices(list_devices&) {
  json out = json::array();
  for (const auto& [name, n] : nodes_)
    for (const auto& d : n.devices) {
      json one = {{"id", name + "/" + d.name},
                  {"node", name},
                  {"name", d.name},
                  {"type", d.type},
                  {"model", d.model},
                  {"slots", d.slots},
                  {"vram_mib", d.vram_mib},
                  {"kinds", d.kinds},
                  {"state", wanted_state(registry_.find(name).value_or(node_record{}), d.name)},
                  {"status", n.connected ? "up" : "lost"}};
      if (auto entry = all_actors_.find("device", name + "/" + d.name))
        one["messages"] = entry->handled.load(), one["last_error"] = entry->last_error();
      out.push_back(std::move(one));
    }
  return description{{{"devices", std::move(out)}}};
}

json cluster_actor::absent_json(const std::string& name) const {
  auto record = registry_.find(name).value_or(node_record{});
  json out = {{"name", name},
              {"status", "never seen"},
              {"state", record.state},
              {"public_key", record.public_key},
              {"added_at", record.added_at == 0 ? json() : json(rfc3339(record.added_at))},
              {"devices", json::array()},
              {"engines", json::array()}};
  if (auto found = troubles_.find(name); found != troubles_.end()) {
    out["last_problem"] = found->second.what;
    out["last_problem_at"] = rfc3339(found->second.at);
  }
  return out;
}

json cluster_actor::node_json(const node& n) const {
  json engines = json::array(), devices = json::array();
  for (const auto& e : n.engines) {
    json kinds = json::array();
    for (const auto& o : e.operations)
      kinds.push_back(o.kind);
    engines.push_back({{"name", e.name},
                       {"version", e.version},
                       {"available", e.available},
                       {"reason", e.reason},
                       {"needs", e.needs},
                       {"operations", kinds}});
  }
  for (const auto& d : n.devices)
    devices.push_back(n.name + "/" + d.name);
  auto out = absent_json(n.name);
  out["status"] = n.connected ? "connected" : "lost";
  out["silent_ms"] = steady_ms() - n.heard_at;
  out["connected_at"] = rfc3339(n.joined_at);
  out["devices"] = std::move(devices);
  out["engines"] = std::move(engines);
  out["protocol_version"] = n.version;
  if (!n.unknown_fields.empty())
    out["unknown_fields"] = n.unknown_fields;
  return out;
}

json cluster_actor::state_json() const {
  json nodes = json::array();
  for (const auto& [name, n] : nodes_)
    nodes.push_back(node_json(n));
  auto c = link_->counters();
  return {{"nodes", nodes},
          {"link",
           {{"frames_in", c.frames_in},
            {"frames_out", c.frames_out},
            {"malformed", c.malformed},
            {"denied", c.denied},
            {"undeliverable", c.undeliverable},
            {"unknown_fields", c.unknown_fields}}}};
}

void cluster_actor::publish_capabilities_soon() {
  if (publishing_)
    return;
  publish_capabilities();
  publishing_ = true; // who comes in a moment is told of with the others
  run_delayed(publish_after, [this] {
    publishing_ = false;
    publish_capabilities();
  });
}

void cluster_actor::publish_capabilities() {
  std::map<std::string, capability> all;
  for (const auto& [name, n] : nodes_)
    for (const auto& e : n.engines)
      for (const auto& o : e.operations) {
        auto& now = all[o.kind];
        auto runs = e.available && n.connected &&
                    std::any_of(n.devices.begin(), n.devices.end(), [&](const auto& d) { return runs_on(d, o.kind); });
        if (runs && (!now.available || now.preview))
          now = {true, o.preview, e.name + "/" + e.version, {}};
        else if (!now.available)
          now = {false, o.preview, e.name + "/" + e.version,
                 n.connected ? (e.reason.empty() ? "no device offers it" : e.reason) : "its node is not connected"};
      }
  auto any = std::any_of(all.begin(), all.end(), [](const auto& entry) { return entry.second.available; });
  if (auto now = pack(to_json(all)); any && now != kept_) {
    kept_ = now;
    storage::batch batch;
    batch.rows.push_back({storage::table::meta, capabilities_row, std::move(now), false});
    journal_.commit(std::move(batch), [](storage::commit_status) {}); // it is a hint: the next start does without
  }
  offered_.replace(std::move(all));
}

} // namespace troupe
