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
  for (const auto& [name, record] : registry_.all()) {
    auto away = devices_of(name);
    if (auto found = nodes_.find(name); found != nodes_.end())
      for (const auto& d : found->second.devices) {
        away.erase(d.name);
        out.push_back(device_json(name, record, d.name));
        out.back().update({{"type", d.type},
                           {"model", d.model},
                           {"slots", d.slots},
                           {"vram_mib", d.vram_mib},
                           {"kinds", d.kinds},
                           {"status", found->second.connected ? "up" : "lost"}});
      }
    for (const auto& device : away)
      out.push_back(device_json(name, record, device));
  }
  return description{{{"devices", std::move(out)}}};
}

// As far as it is known of one that is away, too.
json cluster_actor::device_json(const std::string& name, const node_record& record, const std::string& device) const {
  auto id = name + "/" + device;
  json out = {
      {"id", id}, {"node", name}, {"name", device}, {"state", wanted_state(record, device)}, {"status", "lost"}};
  if (auto why = faulty_.find(id); why != faulty_.end())
    out["quarantined_for"] = why->second;
  if (auto entry = all_actors_.find("device", id))
    out["messages"] = entry->handled.load(), out["last_error"] = entry->last_error();
  return out;
}

json cluster_actor::held_back(const std::string& name, const std::string& device) const {
  auto record = registry_.find(name).value_or(node_record{});
  json out = json::array();
  auto add = [&](const std::string& which, const std::string& why) {
    out.push_back({{"what", which.empty() ? name : name + "/" + which}, {"why", why}});
  };
  auto found = nodes_.find(name);
  auto connected = found != nodes_.end() && found->second.connected;
  if (device.empty()) {
    if (!connected)
      add("", "it is not connected");
    for (const auto& [own, state] : record.devices)
      add(own, "it is " + state + " itself");
    return out;
  }
  if (record.state != enabled)
    add(device, "its node is " + record.state);
  if (!connected)
    add(device, "its node is not connected");
  else if (std::none_of(found->second.devices.begin(), found->second.devices.end(),
                        [&](const auto& d) { return d.name == device; }))
    add(device, "its node has no such device now");
  return out;
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
            {"unknown_fields", c.unknown_fields},
            {"passed_over", c.passed_over}}}};
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
