#pragma once

// How a definition says what a stage costs: {"rule": NAME, argument: value, …}. Every rule is an integer price of the
// catalogue; the arguments are known before the run starts.

#include "common/money.hpp"
#include "workflows/value_rule.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

struct price_rule {
  std::string_view name;
  std::string description;
  /// Each entry is one way to give the arguments; the first whose required ones are all there is taken.
  std::vector<std::vector<std::pair<std::string, value_rule>>> forms;
  /// Micro-credits for arguments that passed their form's checks.
  micro_credits (*price)(const json& arguments);
};

std::span<const price_rule> price_rules();
/// Null when there is none of that name.
const price_rule* find_price_rule(std::string_view name);

/// The price. Errors: `invalid_input`, the message beginning with the argument's name.
result<micro_credits> price_of(const price_rule& rule, const json& arguments);

} // namespace troupe::workflow
