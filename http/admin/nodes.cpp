#include "http/admin/nodes.hpp"

#include "actors/scheduler/scheduler_messages.hpp"
#include "common/log.hpp"
#include "gpu/link/head_link.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"

namespace troupe::http::admin {

namespace {

bool is_node_name(const std::string& name) {
  constexpr std::string_view others = "-_";
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && plain(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || others.find(c) != others.npos; });
}

/// Where a node is to dial: what the request says, else what the settings say.
std::variant<std::vector<std::string>, problem> heads_for(const head& h, std::vector<std::string> asked) {
  for (const auto& one : asked)
    if (!one.starts_with("tcp://") && !one.starts_with("ipc://"))
      return invalid("heads: '" + one.substr(0, 100) + "' must be tcp://HOST:PORT", "heads");
  if (asked.empty())
    asked = h.joining.endpoints;
  if (asked.empty())
    return problem{
        409,
        "conflict",
        "No node can dial in: set cluster.listen and cluster.advertise (tcp://HOST:PORT) and restart the head, "
        "or say what this one dials (`heads`, --head)",
        json::object(),
        {}};
  return asked;
}

/// What a machine needs to join, as `troupe node --join` reads it. It holds the node's secret key.
std::string join_token(const head& h, const std::string& name, const std::vector<std::string>& heads,
                       const link::key_pair& keys) {
  return json{{"troupe_node", 1},
              {"name", name},
              {"heads", heads},
              {"head_key", h.joining.public_key},
              {"public_key", keys.public_key},
              {"secret_key", keys.secret_key}}
      .dump();
}

/// With the cluster's own words, as there is more than one thing that might not be found.
problem problem_of_node(const caf::error& why) {
  auto out = problem_of(why);
  if (out.status == 404)
    out.message = read_refusal(why).message;
  return out;
}

asio::awaitable<reply> allow(const head& h, const request& r, std::string name, std::vector<std::string> asked,
                             bool again) {
  if (auto why = refuse_bound(r, "let nodes join"))
    co_return *why;
  if (!is_node_name(name))
    co_return invalid("name: a-z, 0-9, '-' and '_', and it begins with a letter or digit", "name");
  auto heads = heads_for(h, std::move(asked));
  if (auto* why = std::get_if<problem>(&heads))
    co_return std::move(*why);
  auto keys = link::make_key_pair();
  allow_node command;
  command.name = name;
  command.public_key = keys.public_key;
  command.again = again;
  command.at = now_ms();
  json details = {{"node", name}};
  command.rows = audit_rows(again ? "node_key_changed" : "node_added", {}, asker_of(r), command.at, std::move(details));
  auto done = co_await h.actors.ask_cluster(std::move(command));
  if (!done)
    co_return problem_of_node(done.error());
  log::info("node {} was {} by {}", name, again ? "given another key" : "added", r.who->username);
  json answer = {{"name", name},
                 {"public_key", keys.public_key},
                 {"token", join_token(h, name, std::get<std::vector<std::string>>(heads), keys)}};
  co_return reply::of(std::move(answer), again ? 200 : 201);
}

asio::awaitable<reply> remove(const head& h, const request& r) {
  remove_node command;
  command.name = r.param("name");
  json details = {{"node", command.name}};
  command.rows = audit_rows("node_removed", {}, asker_of(r), now_ms(), std::move(details));
  auto done = co_await h.actors.ask_cluster(std::move(command));
  if (!done)
    co_return problem_of_node(done.error());
  log::info("node {} was removed by {}", r.param("name"), r.who->username);
  json answer = {{"success", true}, {"name", r.param("name")}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> set(const head& h, const request& r, std::string node, std::string device, std::string state) {
  auto said = node + (device.empty() ? "" : "/" + device) + " is set to " + state + " by " + r.who->username;
  set_state command;
  command.node = std::move(node);
  command.device = std::move(device);
  command.state = std::move(state);
  json details = {{"node", command.node}, {"state", command.state}};
  if (!command.device.empty())
    details["device"] = command.device;
  command.rows = audit_rows("node_state_changed", {}, asker_of(r), now_ms(), std::move(details));
  auto done = co_await h.actors.ask_cluster(std::move(command));
  if (!done)
    co_return problem_of_node(done.error());
  log::info("{}", said);
  co_return reply::of(std::move(done->value));
}

asio::awaitable<reply> list(const head& h) {
  list_nodes ask{"admin"};
  auto answer = co_await h.actors.ask_cluster(std::move(ask));
  if (!answer)
    co_return problem_of(answer.error());
  co_return reply::of(std::move(answer->value));
}

/// What the cluster knows of each device, and what the scheduler makes of it.
asio::awaitable<reply> list_all_devices(const head& h) {
  list_devices ask{"admin"};
  auto known = co_await h.actors.ask_cluster(std::move(ask));
  if (!known)
    co_return problem_of(known.error());
  list_placement ask_placement{"admin"};
  auto placed = co_await h.actors.ask_scheduler(std::move(ask_placement));
  if (!placed)
    co_return problem_of(placed.error());
  for (auto& device : known->value.at("devices")) {
    auto seen = placed->value.find(device.at("id").get<std::string>());
    if (seen == placed->value.end())
      continue;
    device["status"] = seen->at("state");
    for (const auto* name : {"slots_used", "vram_used_mib", "failed_in_a_row", "warm", "running"})
      device[name] = seen->at(name);
  }
  co_return reply::of(std::move(known->value));
}

} // namespace

std::vector<endpoint> node_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare({.path = "/api/admin/nodes",
                         .operation = "admin_nodes",
                         .summary = "Nodes that may join, with their engines, and why one is unavailable",
                         .tags = {"Admin"},
                         .needs = access::admin},
                        [&h](const request&, nothing, nothing) { return list(h); }));
  out.push_back(declare<node_body>({.method = verb::post,
                                    .path = "/api/admin/nodes",
                                    .operation = "admin_node_add",
                                    .summary = "Let a node join; `token` is told this once",
                                    .tags = {"Admin"},
                                    .needs = access::admin},
                                   [&h](const request& r, node_body body, nothing) {
                                     return allow(h, r, std::move(body.name), std::move(body.heads), false);
                                   }));
  out.push_back(declare<rotate_body>({.method = verb::post,
                                      .path = "/api/admin/nodes/{name}/rotate",
                                      .operation = "admin_node_rotate",
                                      .summary = "Give a node another key; who has the earlier one is cut off",
                                      .tags = {"Admin"},
                                      .needs = access::admin},
                                     [&h](const request& r, rotate_body body, nothing) {
                                       return allow(h, r, r.param("name"), std::move(body.heads), true);
                                     }));
  out.push_back(declare<node_state_body>({.method = verb::put,
                                          .path = "/api/admin/nodes/{name}",
                                          .operation = "admin_node_change",
                                          .summary = "Drain a node, or let it have work again",
                                          .tags = {"Admin"},
                                          .needs = access::admin},
                                         [&h](const request& r, node_state_body body, nothing) {
                                           return set(h, r, r.param("name"), {}, std::move(body.state));
                                         }));
  out.push_back(declare({.method = verb::del,
                         .path = "/api/admin/nodes/{name}",
                         .operation = "admin_node_remove",
                         .summary = "Cut a node off for good; what it ran runs elsewhere",
                         .tags = {"Admin"},
                         .needs = access::admin},
                        [&h](const request& r, nothing, nothing) { return remove(h, r); }));
  out.push_back(declare({.path = "/api/admin/devices",
                         .operation = "admin_devices",
                         .summary = "Devices with what they can run, and what runs",
                         .tags = {"Admin"},
                         .needs = access::admin},
                        [&h](const request&, nothing, nothing) { return list_all_devices(h); }));
  out.push_back(declare<device_state_body>({.method = verb::put,
                                            .path = "/api/admin/devices/{node}/{device*}",
                                            .operation = "admin_device_change",
                                            .summary = "Drain or quarantine a device, or let it have work again",
                                            .tags = {"Admin"},
                                            .needs = access::admin},
                                           [&h](const request& r, device_state_body body, nothing) {
                                             return set(h, r, r.param("node"), r.param("device"),
                                                        std::move(body.state));
                                           }));
  return out;
}

} // namespace troupe::http::admin
