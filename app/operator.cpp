#include "app/operator.hpp"

#include "app/operator_client.hpp"
#include "common/exit_codes.hpp"
#include "common/text.hpp"
#include "http/url.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

namespace troupe::app {

namespace {

constexpr auto look_every = std::chrono::seconds(1);

int complain(const failure& why) {
  std::fprintf(stderr, "troupe admin: %s\n", without_controls(why.message).c_str());
  return why.code == "unreachable" ? exit_unavailable : exit_failure;
}

result<operator_client> client_of(const operator_options& options) {
  std::string key;
  if (options.key_file.empty()) {
    const auto* from_environment = std::getenv("TROUPE_API_KEY"); // NOLINT(concurrency-mt-unsafe): before any thread
    key = from_environment != nullptr ? from_environment : "";
  } else if (std::ifstream in(options.key_file); !(in >> key)) {
    return fail("refused", "there is no key in " + options.key_file);
  }
  if (key.empty())
    return fail("refused", "it needs an API key of an admin, in the variable TROUPE_API_KEY or in --key-file");
  return operator_client{options.url, key};
}

/// Asks, and shows the answer: as JSON, or as `show` does.
int ask(const operator_options& options, const std::string& method, const std::string& path, const json& body,
        const std::function<void(const json&)>& show) {
  auto client = client_of(options);
  if (!client)
    return complain(client.error());
  auto answer = client->ask(method, path, body);
  if (!answer)
    return complain(answer.error());
  if (options.as_json)
    std::printf("%s\n", answer->dump(2, ' ', true).c_str()); // ASCII: for the terminal, too
  else
    show(*answer);
  return exit_ok;
}

std::string text(const json& of, const char* name) {
  auto found = of.find(name);
  if (found == of.end() || found->is_null())
    return "-";
  // What a node says of itself is not to drive the terminal.
  auto out = without_controls(found->is_string() ? found->get<std::string>() : found->dump());
  return out.empty() ? "-" : out;
}

using table_row = std::vector<std::string>;

/// Columns as wide as they need to be, two spaces between.
void print_table(const std::vector<table_row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + (i + 1 < row.size() ? std::string(widths[i] - row[i].size() + 2, ' ') : "");
    std::printf("%s\n", line.c_str());
  }
}

std::string since_heard(const json& node) {
  if (!node.contains("silent_ms"))
    return "-";
  auto ms = node.value("silent_ms", std::int64_t{0});
  return ms < 120'000 ? std::to_string(ms / 1000) + " s" : std::to_string(ms / 60'000) + " min";
}

void show_nodes(const json& answer) {
  std::vector<table_row> rows{{"NODE", "STATUS", "STATE", "DEVICES", "ENGINES", "HEARD", "KEY", "LAST PROBLEM"}};
  for (const auto& node : answer.at("nodes")) {
    std::string engines;
    for (const auto& engine : node.at("engines"))
      if (engine.value("available", false))
        engines += (engines.empty() ? "" : ",") + text(engine, "name");
    rows.push_back({text(node, "name"), text(node, "status"), text(node, "state"),
                    std::to_string(node.at("devices").size()), engines.empty() ? "-" : engines, since_heard(node),
                    text(node, "public_key").substr(0, 8), text(node, "last_problem")});
  }
  print_table(rows);
}

void show_devices(const json& answer) {
  std::vector<table_row> rows{{"DEVICE", "TYPE", "MODEL", "VRAM MIB", "SLOTS", "STATE", "STATUS", "RUNNING"}};
  for (const auto& device : answer.at("devices")) {
    std::string running, status = text(device, "status");
    for (const auto& stage : device.value("running", json::array()))
      running += (running.empty() ? "" : " ") + text(stage, "job") + "/" + text(stage, "stage");
    if (device.contains("quarantined_for") && status == "lost")
      status += ", quarantined";
    rows.push_back(
        {text(device, "id"), text(device, "type"), text(device, "model"),
         device.value("vram_mib", 0) == 0 ? "-" : text(device, "vram_used_mib") + "/" + text(device, "vram_mib"),
         text(device, "slots_used") + "/" + text(device, "slots"), text(device, "state"), status,
         running.empty() ? "-" : running});
  }
  print_table(rows);
}

void show_token(const json& answer) {
  std::printf("%s\n", text(answer, "token").c_str());
  std::fprintf(stderr,
               "That is the token of node %s, told this once: keep it in a file that only the node's user may read, "
               "and start the node with\n  troupe node --join FILE --folder FOLDER\n",
               text(answer, "name").c_str());
}

/// How many stages run on devices that are the node's, or on the one device.
result<std::size_t> running_on(const operator_client& client, const std::string& name) {
  auto answer = client.ask("GET", "/api/admin/devices");
  if (!answer)
    return answer.error();
  std::size_t out = 0;
  for (const auto& device : answer->at("devices"))
    if (device.value("id", "") == name || device.value("node", "") == name)
      out += device.value("slots_used", std::size_t{0});
  return out;
}

int wait_until_idle(const operator_options& options) {
  auto client = client_of(options);
  if (!client)
    return complain(client.error());
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.wait_max_s);
  for (;;) {
    auto still = running_on(*client, options.name);
    if (!still)
      return complain(still.error());
    if (*still == 0)
      break;
    if (std::chrono::steady_clock::now() > end)
      return complain(fail("busy", std::to_string(*still) + " stages still run on " + options.name));
    std::this_thread::sleep_for(look_every);
  }
  std::fprintf(stderr, "nothing runs on %s\n", options.name.c_str());
  return exit_ok;
}

int set_state(const operator_options& options, const std::string& path, const std::string& state) {
  auto status = ask(options, "PUT", path, {{"state", state}}, [&](const json& answer) {
    std::printf("%s is %s\n", options.name.c_str(), state.c_str());
    for (const auto& still : answer.value("held_back", json::array()))
      std::printf("but %s gets no work: %s\n", text(still, "what").c_str(), text(still, "why").c_str());
  });
  return status == exit_ok && options.wait ? wait_until_idle(options) : status;
}

/// Where the head answers for a node: its name as one segment, whatever is in it.
std::string path_of_node(const operator_options& options) {
  return "/api/admin/nodes/" + http::percent_encode(options.name);
}

json heads_of(const operator_options& options) {
  return options.heads.empty() ? json::object() : json{{"heads", options.heads}};
}

} // namespace

int add_node(const operator_options& options) {
  auto body = heads_of(options);
  body["name"] = options.name;
  return ask(options, "POST", "/api/admin/nodes", body, show_token);
}

int rotate_node(const operator_options& options) {
  return ask(options, "POST", path_of_node(options) + "/rotate", heads_of(options), show_token);
}

int remove_node(const operator_options& options) {
  return ask(options, "DELETE", path_of_node(options), nullptr,
             [&](const json&) { std::printf("%s is removed\n", options.name.c_str()); });
}

int list_nodes(const operator_options& options) { return ask(options, "GET", "/api/admin/nodes", nullptr, show_nodes); }

int set_node(const operator_options& options, const std::string& state) {
  return set_state(options, path_of_node(options), state);
}

int list_devices(const operator_options& options) {
  return ask(options, "GET", "/api/admin/devices", nullptr, show_devices);
}

int set_device(const operator_options& options, const std::string& state) {
  auto slash = options.name.find('/'); // a device's own name may have more
  if (slash == std::string::npos)
    return complain(fail("name", "a device is named NODE/DEVICE, as `troupe admin device list` shows it"));
  auto node = http::percent_encode(options.name.substr(0, slash));
  auto device = http::percent_encode(options.name.substr(slash + 1));
  return set_state(options, "/api/admin/devices/" + node + "/" + device, state);
}

} // namespace troupe::app
