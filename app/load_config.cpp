#include "app/load_config.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

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
  if (options.config.empty())
    return catalog::tariff{};
  std::filesystem::path file{options.config};
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf(); // that it can be read, load_config() has shown
  auto tariff = catalog::read_tariff(text.str(), file.filename().string());
  if (tariff)
    return std::move(*tariff);
  std::fprintf(stderr, "troupe: %s\n", tariff.error().message.c_str());
  return std::nullopt;
}

} // namespace troupe::app
