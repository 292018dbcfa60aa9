#include "app/options.hpp"
#include "common/exit_codes.hpp"
#include "common/log.hpp"
#include "gpu/engines/all.hpp"
#include "gpu/node/agent.hpp"

#include <csignal>

namespace troupe::app {

namespace {

node::agent* running = nullptr;

void on_signal(int) {
  if (running != nullptr)
    running->stop();
}

} // namespace

int run_node(const node_options& options) {
  start_log("node", options.log_level);
  auto keys = link::load_or_make_key_pair(options.key_file);
  if (!keys) {
    log::critical("{}", keys.error().message);
    return exit_configuration;
  }
  node::agent_options settings;
  settings.name = options.name;
  settings.head_endpoints = options.heads;
  settings.head_public_key = options.head_key;
  settings.keys = *keys;
  settings.folder = options.folder;
  settings.cache_bytes_max = std::uint64_t{options.cache_mib} << 20;
  settings.slots = options.slots;
  settings.exit_when_orphaned_ms = options.exit_when_orphaned_ms;
  settings.engines = engines::all();
  auto agent = node::agent::open(std::move(settings));
  if (!agent) {
    log::critical("{}", agent.error().message);
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
