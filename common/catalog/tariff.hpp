#pragma once

// Tiers and prices as the operator set them in cluster.conf: [tiers.NAME] and [prices.…]. What is not said there is the
// default. docs/money.md lists what can be said.

#include "common/catalog/prices.hpp"
#include "common/catalog/tiers.hpp"

#include <string_view>

namespace troupe::catalog {

struct tariff {
  tier_table tiers = default_tiers();
  price_list prices = default_prices();
};

/// From the text of cluster.conf, called `name` in errors; all but the two sections is for others. Errors:
/// `configuration`, with line and column: an unknown name, a wrong type, a number out of its range.
result<tariff> read_tariff(std::string_view text, const std::string& name);

} // namespace troupe::catalog
