#pragma once

// One run, known completely before it starts: every stage instance with its parameters, its files' origins and its
// price. A plan is self-contained, so a job that stores it does not depend on the definition any more.

#include "common/catalog/tiers.hpp"
#include "common/money.hpp"
#include "common/packed.hpp"
#include "workflows/definition.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::workflow {

/// A file that an instance of the plan makes.
struct source {
  std::uint32_t instance = 0;
  std::string port;
  friend bool operator==(const source&, const source&) = default;
};

struct bound_input {
  std::string port;
  bool optional = false; // goes without when the source made no such file
  std::vector<source> from;
  friend bool operator==(const bound_input&, const bound_input&) = default;
};

struct stage_instance {
  std::uint32_t index = 0;
  std::string stage; // the definition's id
  std::uint32_t item = 0;
  std::string name; // "generate[1]", or "join" when the stage is not repeated
  std::string kind;
  json params = json::object();
  std::vector<bound_input> inputs;         // in the kind's port order
  std::vector<std::uint32_t> dependencies; // ascending, each below `index`
  micro_credits price = 0;
  retry_policy retry;
  std::uint32_t timeout_s = 600;
  std::uint32_t estimate_ms = 1'000; // how long it should take; at most its time-out
  stage_class urgency = stage_class::standard;
  std::uint32_t vram_mib = 0;
  bool speculative = false;
  friend bool operator==(const stage_instance&, const stage_instance&) = default;
};

struct planned_result {
  std::string name;
  source from;
  std::string filename; // {job} still in it
  bool optional = false;
  friend bool operator==(const planned_result&, const planned_result&) = default;
};

struct plan {
  static constexpr std::size_t instances_max = 500;

  std::string workflow;
  std::uint32_t version = 1;
  std::string hash;                   // of the definition
  std::vector<stage_instance> stages; // each after all it needs
  std::vector<planned_result> results;
  catalog::tier min_tier = catalog::tier::free; // of the workflow and all its stages
  catalog::demand demand;                       // the largest picture and the longest clip it makes

  /// The sum of all prices.
  micro_credits price() const;
};

using plan_ptr = std::shared_ptr<const plan>;

/// The file name of a result of a job.
std::string filename_of(const planned_result& result, std::string_view job);

/// What is stored of it; to_json() is the same as a tree.
packed_map packed_fields(const plan& what);
json to_json(const plan& what);
/// Errors: `corrupt` (not a plan, or one that breaks its own rules).
result<plan> plan_from_json(const json& in);
/// In messages and events a plan goes along as it is. Reading throws json::exception; null is no plan.
void to_json(json& out, const plan_ptr& what);
void from_json(const json& in, plan_ptr& out);

} // namespace troupe::workflow
