#pragma once

// What a value may be: the same words for a workflow's inputs and for a stage kind's parameters, so that both are
// checked by one piece of code and both are documented as JSON Schema.

#include "common/json.hpp"
#include "common/result.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::workflow {

enum class value_type {
  string,
  integer,
  number,
  boolean,
  choice,      // one of a few words ("enum" in a definition)
  video_model, // the id of a video model of the catalogue
  object,      // only as the items of a list
  list
};

/// "string", "integer", "number", "boolean", "enum", "video_model", "object", "list".
std::string_view name_of(value_type type);
std::optional<value_type> value_type_of(std::string_view name);

/// What no rule may allow to be exceeded.
struct value_limits {
  static constexpr std::size_t string_length_max = 10'000;
  static constexpr std::size_t list_length_max = 500;
};

struct value_rule {
  value_type type = value_type::string;
  std::string description;
  bool required = false;
  /// What stands in when the value is left out or null; null: nothing does, and the value stays out. In a workflow's
  /// input it may be a reference to a field of a chosen model ("$inputs.model.width").
  json fallback;
  std::optional<double> min, max; // numbers, both included
  std::int64_t multiple_of = 1;   // integers
  std::size_t min_length = 0; // strings: Unicode code points; lists: items. With 1 or more, white space alone is empty
  std::size_t max_length = 2'000;
  std::vector<std::string> choices;                       // choice
  std::vector<std::pair<std::string, value_rule>> fields; // object, in order
  std::vector<value_rule> items;                          // list: exactly one

  // Out of line, as a rule holds pairs with rules: clang asks for these before the pair is whole.
  value_rule();
  value_rule(const value_rule&);
  value_rule(value_rule&&) noexcept;
  value_rule& operator=(const value_rule&);
  value_rule& operator=(value_rule&&) noexcept;
  ~value_rule();
};

/// Checks a value and fills in what was left out inside it. `field` is how messages call it ("shots[1].prompt").
/// Strings must be UTF-8 without control characters but tab and line ends; numbers finite; an integer may be
/// written 41.0. Unknown fields of an object are left out. Errors: `invalid_input`, the message beginning with the
/// field.
result<json> check_value(const value_rule& rule, const json& value, const std::string& field);

/// As check_value, for each of several named values of one object (inputs, parameters). `prefix` goes before the names.
result<json> check_fields(const std::vector<std::pair<std::string, value_rule>>& rules, const json& values,
                          const std::string& prefix);

/// JSON Schema (2020-12) of what the rule allows.
json schema_of(const value_rule& rule);
/// JSON Schema of an object with these fields.
json schema_of(const std::vector<std::pair<std::string, value_rule>>& fields);

/// How many code points a UTF-8 string has; nothing when it is not UTF-8 (overlong forms and surrogates included).
std::optional<std::size_t> utf8_length(std::string_view text);

/// The known word that is nearest to `word` (edit distance), when it is near enough to be a misspelling; else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

} // namespace troupe::workflow
