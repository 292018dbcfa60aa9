#pragma once

// A workflow as its author wrote it, checked and ready to expand. Immutable and shared: a run keeps what it started
// with.

#include "common/catalog/tiers.hpp"
#include "workflows/expression.hpp"
#include "workflows/stage_kinds.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// How soon a stage is wanted; the scheduler's classes.
enum class stage_class { interactive, standard, preemptible };

/// How often and how soon a stage is tried again. The wait before try n + 1 is backoff_ms × 2^(n-1), at most 5 minutes.
struct retry_policy {
  std::uint32_t attempts = 3; // 1 … 10, the first one included
  std::uint32_t backoff_ms = 1'000;
  friend bool operator==(const retry_policy&, const retry_policy&) = default;
};

/// An output of a stage: "join.video".
struct port_reference {
  std::string stage;
  std::string port;
};

struct input_binding {
  std::string port;
  std::vector<port_reference> from; // one, but for a list port
};

/// What a stage is repeated for: a list input, or every instance of another stage.
struct fan_out {
  std::string input; // "shots"
  std::string stage; // or "generate"
};

struct stage_price {
  std::string rule = "free";
  std::vector<std::pair<std::string, expression>> arguments;
};

struct stage_definition {
  std::string id;
  std::string title;
  const stage_kind* kind = nullptr;
  std::optional<fan_out> for_each;
  std::vector<std::pair<std::string, expression>> params;
  std::vector<input_binding> inputs;
  std::vector<std::string> after;
  stage_price price;
  retry_policy retry;
  std::uint32_t timeout_s = 600;
  std::optional<expression> estimate_s; // how long it should take; a second when left out
  stage_class urgency = stage_class::standard;
  std::uint32_t vram_mib = 0; // at least, on a device with memory of its own; its engine may need more
  bool speculative = false;   // may run twice at once, as it has no effect but its result
  std::optional<catalog::tier> min_tier;
};

/// A file that the job leaves its owner. In the pattern {job} is the job's id and {n…} the instance's number from 1,
/// with at least as many digits as there are n.
struct result_definition {
  std::string name;
  port_reference from;
  std::string filename;
};

struct definition {
  std::string name;
  std::uint32_t version = 1;
  std::string title;
  std::string description;
  std::optional<catalog::tier> min_tier;
  std::vector<std::pair<std::string, value_rule>> inputs;
  std::vector<stage_definition> stages; // each after all it needs
  std::vector<result_definition> results;
  json document;    // as it was written
  std::string hash; // SHA-256 of the canonical document: keys sorted, no white space

  const stage_definition* find_stage(std::string_view id) const;
  const value_rule* find_input(std::string_view input) const;
  /// The list input that a stage is repeated for, through other stages if need be; empty when it is not repeated.
  std::string fan_out_root(const stage_definition& stage) const;
};

/// "interactive", "standard", "preemptible".
std::string_view name_of(stage_class urgency);
std::optional<stage_class> stage_class_of(std::string_view name);

using definition_ptr = std::shared_ptr<const definition>;

/// What is wrong with a definition, and where.
struct problem {
  std::string file;
  std::string stage; // empty: not about one stage
  std::string field;
  std::string message;

  /// "short-film.json: stage 'upscale': inputs.video: …"
  std::string text() const;
  friend bool operator==(const problem&, const problem&) = default;
};

/// A definition, or everything that is wrong with it: one of the two is empty.
struct parsed_definition {
  definition_ptr definition;
  std::vector<problem> problems;
};

/// Reads and checks a document: its form, stage kinds, references, types, ports, cycles, stages that nobody needs.
/// `file` is only for messages.
parsed_definition parse_definition(const json& document, const std::string& file);
/// As above, from text; malformed JSON is a problem of the file.
parsed_definition parse_definition_text(std::string_view text, const std::string& file);

/// What users see of it: name, version, title, description, inputs as JSON Schema, stages, results, min_tier.
json describe(const definition& workflow);

} // namespace troupe::workflow
