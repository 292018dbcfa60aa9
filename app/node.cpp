#include "app/options.hpp"
#include "common/exit_codes.hpp"
#include "common/log.hpp"
#include "gpu/engines/all.hpp"
#include "gpu/node/agent.hpp"
#include "gpu/node/folder_lock.hpp"

#include <chrono>
#include <csignal>
#include <thread>
#include <unistd.h>

namespace troupe::app {

namespace {

node::agent* running = nullptr;

void on_signal(int) {
  if (running != nullptr)
    running->stop();
}

/// Returns once no other node works in the folder; false when who started this one is gone, and with it the need.
bool wait_for(const std::string& folder) {
  auto parent = ::getppid();
  for (bool told = false;; told = true) {
    auto taken = node::folder_lock::take(folder);
    if (taken || taken.error().code != "locked")
      return true; // an error of another kind is told where the folder is opened
    if (::getppid() != parent)
      return false;
    if (!told)
      log::info("the node of an earlier head still works in {}; this one waits for its end", folder);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

} // namespace

int run_node(const node_options& options) {
  start_log("node", options.log_level);
  if (options.wait_for_folder && !wait_for(options.folder))
    return exit_temporary;
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
