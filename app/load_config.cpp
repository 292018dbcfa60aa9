#include "app/load_config.hpp"

#include <cstdio>

namespace troupe::app {

std::optional<configuration> load_config(const serve_options& options) {
  auto file = options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config);
  auto config = load_configuration(file, troupe_environment(), options.overrides);
  if (config)
    return std::move(*config);
  std::fprintf(stderr, "troupe: %s\n", config.error().message.c_str());
  return std::nullopt;
}

std::optional<catalog::tariff> load_tariff(const serve_options& options) {
  auto tariff = catalog::load_tariff(options.config.empty() ? std::nullopt
                                                            : std::optional<std::filesystem::path>(options.config));
  if (tariff)
    return std::move(*tariff);
  std::fprintf(stderr, "troupe: %s\n", tariff.error().message.c_str());
  return std::nullopt;
}

} // namespace troupe::app
