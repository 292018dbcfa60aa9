#include "app/load_config.hpp"
#include "app/options.hpp"
#include "common/exit_codes.hpp"
#include "common/json.hpp"
#include "common/log.hpp"
#include "gpu/engines/all.hpp"
#include "gpu/node/agent.hpp"
#include "gpu/node/folder_lock.hpp"

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>
#include <unistd.h>

namespace troupe::app {

namespace {

node::agent* running = nullptr;

void on_signal(int) {
  if (running != nullptr)
    running->stop();
}

/// Returns once no other node works in the folder; false when the head that started this one is gone, and with it the
/// need. The head says who it is: it may be gone before this process can ask.
bool wait_for(const std::string& folder, pid_t head) {
  for (bool told = false;; told = true) {
    auto taken = node::folder_lock::take(folder);
    if (taken || taken.error().code != "locked")
      return true; // an error of another kind is told where the folder is opened
    if (::getppid() != head)
      return false;
    if (!told)
      log::info("the node of an earlier head still works in {}; this one waits for its end", folder);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

struct membership {
  std::string name, head_key;
  std::vector<std::string> heads;
  link::key_pair keys;
};

/// A token of `troupe admin node add`. Errors: `malformed`; they hold nothing of it.
result<membership> read_token(const std::string& file) {
  constexpr std::size_t bytes_max = 64 << 10;
  std::ifstream in(file);
  std::string text(bytes_max, '\0');
  in.read(text.data(), static_cast<std::streamsize>(bytes_max));
  text.resize(static_cast<std::size_t>(in.gcount()));
  auto token = parse_json(text);
  auto wrong = [&](const char* why) { return fail("malformed", "the token in " + file + " " + why); };
  if (!token || !token->is_object() || !token->contains("troupe_node"))
    return wrong("is none: it must be what `troupe admin node add` printed");
  if (token->value("troupe_node", json()) != 1)
    return wrong("is of another version of Troupe; bring head and node to the same release, or add the node again");
  membership out;
  const std::pair<const char*, std::string*> fields[] = {{"name", &out.name},
                                                         {"head_key", &out.head_key},
                                                         {"public_key", &out.keys.public_key},
                                                         {"secret_key", &out.keys.secret_key}};
  for (const auto& [name, to] : fields) {
    auto value = token->value(name, json());
    if (!value.is_string() || value.get_ref<const std::string&>().empty())
      return wrong("is not whole: copy it again");
    *to = value.get<std::string>();
  }
  for (const auto& head : token->value("heads", json::array()))
    if (head.is_string())
      out.heads.push_back(head.get<std::string>());
  return out;
}

result<membership> membership_of(const node_options& options) {
  if (!options.join_file.empty()) {
    auto out = read_token(options.join_file);
    if (out && !options.heads.empty())
      out->heads = options.heads;
    if (out && out->heads.empty())
      return fail("malformed", "the token says no address to dial: give --head tcp://HOST:PORT");
    return out;
  }
  if (options.heads.empty() || options.head_key.empty() || options.key_file.empty())
    return fail("malformed", "it needs --join, or --head, --head-key and --key");
  auto keys = link::load_or_make_key_pair(options.key_file);
  if (!keys)
    return keys.error();
  return membership{options.name, options.head_key, options.heads, *keys};
}

// "cuda0=2" and the like, as the configuration has checked them.
std::map<std::string, std::uint32_t> amounts_of(const std::vector<std::string>& all) {
  std::map<std::string, std::uint32_t> out;
  for (const auto& one : all) {
    auto equals = one.find('=');
    out[one.substr(0, equals)] = static_cast<std::uint32_t>(std::stoul(one.substr(equals + 1)));
  }
  return out;
}

} // namespace

int run_node(const node_options& options) {
  auto config = load_config(options.where);
  if (!config)
    return exit_configuration;
  clear_environment();
  start_log("node", config->log.level);
  if (options.wait_for_folder != 0 && !wait_for(options.folder, options.wait_for_folder))
    return exit_temporary;
  auto member = membership_of(options);
  if (!member) {
    log::critical("{}", member.error().message);
    return exit_configuration;
  }
  node::agent_options settings;
  settings.name = member->name;
  settings.head_endpoints = member->heads;
  settings.head_public_key = member->head_key;
  settings.keys = member->keys;
  settings.folder = options.folder;
  settings.cache_bytes_max = static_cast<std::uint64_t>(config->node.cache_mib) << 20;
  settings.slots = static_cast<std::uint32_t>(config->node.slots);
  settings.offered = {config->devices.disabled, amounts_of(config->devices.slots),
                      amounts_of(config->devices.vram_reserved_mib), config->engines.disabled};
  settings.exit_when_orphaned_ms = options.exit_when_orphaned_ms;
  settings.engines = engines::all();
  auto agent = node::agent::open(std::move(settings));
  if (!agent) {
    log::critical("{}", agent.error().message);
    if (agent.error().code == "configuration")
      return exit_configuration;
    return agent.error().code == "locked" ? exit_temporary : exit_failure;
  }
  running = agent->get();
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  auto why = (*agent)->run();
  if (why == node::stop_reason::orphaned)
    log::warn("no head was heard for {} ms: this node ends", options.exit_when_orphaned_ms);
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  running = nullptr;
  return exit_ok;
}

} // namespace troupe::app
