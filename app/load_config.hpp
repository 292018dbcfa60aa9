#pragma once

#include "app/options.hpp"
#include "common/catalog/tariff.hpp"
#include "common/configuration.hpp"

#include <optional>

namespace troupe::app {

/// Command line, environment and file to types. Prints what is wrong, and is empty then.
std::optional<configuration> load_config(const serve_options& options);
/// Tiers and prices of the file; the same.
std::optional<catalog::tariff> load_tariff(const serve_options& options);

} // namespace troupe::app
