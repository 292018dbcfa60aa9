#pragma once

// The values that a definition writes down: literals, references ("$inputs.prompt") and very little arithmetic. There
// is no loop and no text work on purpose: what a workflow does must be readable, and its cost known before it runs.
//
//   "$inputs.NAME"          an input; "$inputs.NAME.FIELD" a default of the model that a video_model input names
//   "$item", "$item.FIELD"  what this instance of a fanned-out stage is for
//   "$index", "$count"      which instance this is, from 0, and how many there are (0 and 1 without for_each)
//   "$account.watermark"    the text to draw for this account; "" for none
//   "$params.NAME"          in a price or an estimate only: a parameter of the same stage, resolved
//   "$$…"                   a literal that begins with "$…"
//   {"$round": E}  {"$ceil": E}  {"$floor": E}  {"$value": E}   where E is a value or [A, op, B] with op + - * /
//   {"$min": [A, B]}  {"$max": [A, B]}  {"$length": "$inputs.LIST"}
//
// $round rounds halves away from zero. [A, op, B] may nest.

#include "workflows/value_rule.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe::workflow {

inline constexpr std::size_t expression_depth_max = 8;

/// What a reference can see.
struct scope {
  const json* inputs = nullptr;
  const json* item = nullptr;   // null: not fanned out
  const json* params = nullptr; // null: in no price or estimate
  std::size_t index = 0;
  std::size_t count = 1;
  std::string_view watermark;
};

/// What a reference could see, before there are values.
struct type_scope {
  const std::vector<std::pair<std::string, value_rule>>* inputs = nullptr;
  const value_rule* item = nullptr;
  const std::vector<std::pair<std::string, value_rule>>* params = nullptr;
};

class expression {
public:
  /// Errors: `invalid_expression`.
  static result<expression> parse(const json& text);

  /// The value, null where a reference leads to an optional input that was left out. Errors: `invalid_input` (a
  /// division by zero, a number out of range).
  result<json> evaluate(const scope& in) const;

  /// The type it will have. Errors: `unknown_reference`, `wrong_type`; the message names the reference.
  result<value_type> type(const type_scope& in) const;

  /// True when a reference in it leads to something that may be left out and has no default.
  bool may_be_absent(const type_scope& in) const;
  /// True when it is a reference and nothing else.
  bool is_reference() const;
  /// The value when it is written out; null for references and arithmetic.
  const json* literal() const;

private:
  struct node;
  explicit expression(std::shared_ptr<const node> root) : root_(std::move(root)) {}
  std::shared_ptr<const node> root_;
};

} // namespace troupe::workflow
