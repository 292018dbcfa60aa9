#include "actors/messages.hpp"
#include "app/head_core.hpp"
#include "app/load_config.hpp"
#include "app/make_admin.hpp"
#include "common/exit_codes.hpp"
#include "common/log.hpp"
#include "http/bridge/secrets.hpp"

#include <cstdio>
#include <iostream>

namespace troupe::app {

int create_admin(const admin_create_options& options) {
  start_log("admin", "warn");
  auto config = load_config(options.where);
  if (!config)
    return exit_configuration;
  std::string password;
  std::getline(std::cin, password);
  auto core = head_core::start(*config, false, {});
  if (!core) {
    std::fprintf(stderr, "troupe admin: %s\n", core.error().message.c_str());
    return core.error().code == "locked" ? exit_temporary : exit_failure;
  }
  // The first account comes with the key that all later ones stand on.
  if (auto key = http::secrets::load_or_make((*core)->data(), has_accounts(**core)); !key) {
    std::fprintf(stderr, "troupe admin: %s\n", key.error().message.c_str());
    return exit_configuration;
  }
  if (auto made = make_admin(**core, options.username, password); !made) {
    std::fprintf(stderr, "troupe admin: %s\n", made.error().message.c_str());
    return exit_failure;
  }
  std::printf("admin '%s' created\n", options.username.c_str());
  return exit_ok;
}

} // namespace troupe::app
