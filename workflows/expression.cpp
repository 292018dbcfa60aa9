#include "workflows/expression.hpp"

#include "common/catalog/models.hpp"
#include "common/exact_integer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace troupe::workflow {

namespace {

enum class operation { value, round, ceil, floor, min, max, length, add, subtract, multiply, divide };

constexpr std::array<std::pair<std::string_view, operation>, 7> named_operations{{{"$value", operation::value},
                                                                                  {"$round", operation::round},
                                                                                  {"$ceil", operation::ceil},
                                                                                  {"$floor", operation::floor},
                                                                                  {"$min", operation::min},
                                                                                  {"$max", operation::max},
                                                                                  {"$length", operation::length}}};

failure invalid(std::string message) { return fail("invalid_expression", std::move(message)); }

std::optional<operation> arithmetic_of(const json& text) {
  if (!text.is_string())
    return std::nullopt;
  const auto& sign = text.get_ref<const std::string&>();
  if (sign == "+")
    return operation::add;
  if (sign == "-")
    return operation::subtract;
  if (sign == "*")
    return operation::multiply;
  if (sign == "/")
    return operation::divide;
  return std::nullopt;
}

std::vector<std::string> split(std::string_view dotted) {
  std::vector<std::string> parts{""};
  for (char c : dotted) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

const value_rule* find_rule(const std::vector<std::pair<std::string, value_rule>>& rules, std::string_view name) {
  auto found = std::find_if(rules.begin(), rules.end(), [&](const auto& one) { return one.first == name; });
  return found == rules.end() ? nullptr : &found->second;
}

// The defaults of a model that a definition may refer to.
std::optional<std::pair<value_type, json>> model_field(const catalog::video_model& model, std::string_view field) {
  const auto& d = model.defaults;
  auto whole = [](std::int64_t x) { return std::pair{value_type::integer, json(x)}; };
  auto number = [](double x) { return std::pair{value_type::number, json(x)}; };
  auto word = [](std::string_view x) { return std::pair{value_type::string, json(x)}; };
  if (field == "width")
    return whole(d.width);
  if (field == "height")
    return whole(d.height);
  if (field == "frames")
    return whole(d.frames);
  if (field == "steps")
    return whole(d.steps);
  if (field == "frame_rate")
    return whole(d.frame_rate);
  if (field == "cfg")
    return number(d.cfg);
  if (field == "shift")
    return number(d.shift);
  if (field == "sampler")
    return word(d.sampler);
  if (field == "scheduler")
    return word(d.scheduler);
  return std::nullopt;
}

bool is_number(value_type type) { return type == value_type::integer || type == value_type::number; }

result<json> whole(double x) {
  if (!std::isfinite(x) || std::abs(x) > exact_integer_max)
    return fail("invalid_input", "is out of range");
  return json(static_cast<std::int64_t>(x));
}

// Integers stay integers where the result is exact; everything else is a double.
result<json> compute(operation op, const json& left, const json& right) {
  auto a = left.get<double>(), b = right.get<double>();
  if (op == operation::divide && b == 0)
    return fail("invalid_input", "is a division by zero");
  auto x = op == operation::add        ? a + b
           : op == operation::subtract ? a - b
           : op == operation::multiply ? a * b
           : op == operation::divide   ? a / b
           : op == operation::min      ? std::min(a, b)
                                       : std::max(a, b);
  if (!std::isfinite(x))
    return fail("invalid_input", "is out of range");
  if (left.is_number_integer() && right.is_number_integer() && op != operation::divide)
    return whole(x);
  return json(x);
}

json field_of(const json* object, const std::string& name) {
  if (!object || !object->is_object())
    return nullptr;
  auto found = object->find(name);
  return found == object->end() ? json(nullptr) : *found;
}

} // namespace

struct expression::node {
  json literal;                  // no path, no arguments
  std::string text;              // a reference as written
  std::vector<std::string> path; // a reference: "$inputs", "shots", …
  operation op = operation::value;
  std::vector<std::shared_ptr<const node>> arguments; // an operation

  using pointer = std::shared_ptr<const node>;
  static result<pointer> parse(const json& text, std::size_t depth, bool operand);
  static result<pointer> parse_reference(const std::string& text);
  static result<pointer> parse_object(const json& text, std::size_t depth);
  static result<pointer> parse_pair(operation op, const json& left, const json& right, std::size_t depth);

  result<json> evaluate(const scope& in) const;
  result<json> resolve(const scope& in) const;
  result<value_type> type(const type_scope& in) const;
  result<value_type> reference_type(const type_scope& in) const;
  bool may_be_absent(const type_scope& in) const;
};

result<expression::node::pointer> expression::node::parse_reference(const std::string& text) {
  auto path = split(std::string_view{text}.substr(1));
  if (std::any_of(path.begin(), path.end(), [](const auto& part) { return part.empty(); }))
    return invalid("'" + text + "' is not a reference");
  auto root = path.front();
  auto most = root == "inputs" ? 3u : root == "index" || root == "count" ? 1u : 2u;
  auto least = root == "item" || root == "index" || root == "count" ? 1u : 2u;
  bool known = root == "inputs" || root == "item" || root == "index" || root == "count" || root == "params" ||
               text == "$account.watermark";
  if (!known)
    return invalid("unknown reference '" + text +
                   "'; there are $inputs.NAME, $item.FIELD, $index, $count, $account.watermark and, in prices, "
                   "$params.NAME");
  if (path.size() < least || path.size() > most)
    return invalid("'" + text + "' is not a reference");
  auto out = std::make_shared<node>();
  out->text = text;
  out->path = std::move(path);
  return pointer(out);
}

result<expression::node::pointer> expression::node::parse_pair(operation op, const json& left, const json& right,
                                                               std::size_t depth) {
  auto a = parse(left, depth + 1, true);
  if (!a)
    return a;
  auto b = parse(right, depth + 1, true);
  if (!b)
    return b;
  auto out = std::make_shared<node>();
  out->op = op;
  out->arguments = {*a, *b};
  return pointer(out);
}

result<expression::node::pointer> expression::node::parse_object(const json& text, std::size_t depth) {
  auto known = std::find_if(named_operations.begin(), named_operations.end(),
                            [&](const auto& one) { return text.size() == 1 && text.begin().key() == one.first; });
  if (known == named_operations.end())
    return invalid("an object must be one of {\"$round\": …}, $ceil, $floor, $value, $min, $max, $length");
  const auto& argument = text.begin().value();
  auto op = known->second;
  if (op == operation::min || op == operation::max) {
    if (!argument.is_array() || argument.size() != 2)
      return invalid(std::string{known->first} + " needs a list of two values");
    return parse_pair(op, argument[0], argument[1], depth);
  }
  auto inner = parse(argument, depth + 1, true);
  if (!inner)
    return inner;
  auto out = std::make_shared<node>();
  out->op = op;
  out->arguments = {*inner};
  return pointer(out);
}

result<expression::node::pointer> expression::node::parse(const json& text, std::size_t depth, bool operand) {
  if (depth > expression_depth_max)
    return invalid("nests deeper than " + std::to_string(expression_depth_max) + " levels");
  if (text.is_object())
    return parse_object(text, depth);
  if (text.is_array()) {
    auto op = text.size() == 3 ? arithmetic_of(text[1]) : std::nullopt;
    if (!operand || !op)
      return invalid(
          "a list must be [value, \"+\", \"-\", \"*\" or \"/\", value], inside $round, $ceil, $floor or $value");
    return parse_pair(*op, text[0], text[2], depth);
  }
  if (text.is_string()) {
    const auto& word = text.get_ref<const std::string&>();
    if (word.starts_with('$') && !word.starts_with("$$"))
      return parse_reference(word);
  }
  auto out = std::make_shared<node>();
  out->literal = text.is_string() && text.get_ref<const std::string&>().starts_with("$$")
                     ? json(text.get_ref<const std::string&>().substr(1))
                     : text;
  return pointer(out);
}

result<json> expression::node::resolve(const scope& in) const {
  const auto& root = path.front();
  if (root == "index")
    return json(in.index);
  if (root == "count")
    return json(in.count);
  if (root == "account")
    return json(in.watermark);
  if (root == "item")
    return path.size() == 1 ? (in.item ? *in.item : json(nullptr)) : field_of(in.item, path[1]);
  if (root == "params")
    return field_of(in.params, path[1]);
  auto value = field_of(in.inputs, path[1]);
  if (path.size() == 2 || !value.is_string())
    return value;
  const auto* model = catalog::find_video_model(value.get_ref<const std::string&>());
  auto field = model ? model_field(*model, path[2]) : std::nullopt;
  return field ? field->second : json(nullptr);
}

result<json> expression::node::evaluate(const scope& in) const {
  if (!path.empty())
    return resolve(in);
  if (arguments.empty())
    return literal;
  auto first = arguments[0]->evaluate(in);
  if (!first)
    return first;
  if (op == operation::length)
    return json(first->is_array() ? first->size() : 0);
  if (!first->is_number())
    return fail("invalid_input", "is computed from a value that was left out");
  if (op == operation::value)
    return first;
  if (op == operation::round)
    return whole(std::round(first->get<double>()));
  if (op == operation::ceil)
    return whole(std::ceil(first->get<double>()));
  if (op == operation::floor)
    return whole(std::floor(first->get<double>()));
  auto second = arguments[1]->evaluate(in);
  if (!second)
    return second;
  if (!second->is_number())
    return fail("invalid_input", "is computed from a value that was left out");
  return compute(op, *first, *second);
}

result<value_type> expression::node::reference_type(const type_scope& in) const {
  auto unknown = [&](const std::string& why) { return fail("unknown_reference", "'" + text + "': " + why); };
  const auto& root = path.front();
  if (root == "index" || root == "count")
    return value_type::integer;
  if (root == "account")
    return value_type::string;
  if (root == "item") {
    if (!in.item)
      return unknown("the stage has no for_each, so there is no item");
    if (path.size() == 1)
      return in.item->type;
    const auto* field = find_rule(in.item->fields, path[1]);
    if (!field)
      return unknown("the items have no field '" + path[1] + "'");
    return field->type;
  }
  if (root == "params") {
    const auto* param = in.params ? find_rule(*in.params, path[1]) : nullptr;
    if (!param)
      return unknown(in.params ? "the stage kind has no parameter '" + path[1] + "'"
                               : "$params is for prices and estimates only");
    return param->type;
  }
  const auto* input = in.inputs ? find_rule(*in.inputs, path[1]) : nullptr;
  if (!input)
    return unknown("there is no input '" + path[1] + "'");
  if (path.size() == 2)
    return input->type;
  if (input->type != value_type::video_model)
    return unknown("'" + path[1] + "' is not a video_model, so it has no fields");
  auto field = model_field(catalog::video_models().front(), path[2]);
  if (!field)
    return unknown("a model has no default '" + path[2] + "'");
  return field->first;
}

result<value_type> expression::node::type(const type_scope& in) const {
  if (!path.empty())
    return reference_type(in);
  if (arguments.empty()) {
    if (literal.is_string())
      return value_type::string;
    if (literal.is_boolean())
      return value_type::boolean;
    if (literal.is_number_integer())
      return value_type::integer;
    if (literal.is_number())
      return value_type::number;
    return fail("wrong_type", "must not be null");
  }
  bool all_whole = true;
  for (const auto& argument : arguments) {
    auto inner = argument->type(in);
    if (!inner)
      return inner;
    if (op == operation::length ? *inner != value_type::list : !is_number(*inner))
      return fail("wrong_type", op == operation::length
                                    ? "$length needs a list"
                                    : "arithmetic needs numbers, not " + std::string{name_of(*inner)});
    all_whole = all_whole && *inner == value_type::integer;
  }
  if (op == operation::length || op == operation::round || op == operation::ceil || op == operation::floor)
    return value_type::integer;
  return all_whole && op != operation::divide ? value_type::integer : value_type::number;
}

bool expression::node::may_be_absent(const type_scope& in) const {
  if (path.empty())
    return std::any_of(arguments.begin(), arguments.end(), [&](const auto& one) { return one->may_be_absent(in); });
  const value_rule* rule = nullptr;
  if (path.size() > 1 && path[0] == "inputs" && in.inputs)
    rule = find_rule(*in.inputs, path[1]);
  else if (path.size() > 1 && path[0] == "item" && in.item)
    rule = find_rule(in.item->fields, path[1]);
  else if (path.size() > 1 && path[0] == "params" && in.params)
    rule = find_rule(*in.params, path[1]);
  return rule && !rule->required && rule->fallback.is_null();
}

result<expression> expression::parse(const json& text) {
  auto root = node::parse(text, 1, false);
  if (!root)
    return root.error();
  return expression(*root);
}

result<json> expression::evaluate(const scope& in) const { return root_->evaluate(in); }

result<value_type> expression::type(const type_scope& in) const { return root_->type(in); }

bool expression::may_be_absent(const type_scope& in) const { return root_->may_be_absent(in); }

bool expression::is_reference() const { return !root_->path.empty(); }

const json* expression::literal() const {
  return root_->path.empty() && root_->arguments.empty() ? &root_->literal : nullptr;
}

} // namespace troupe::workflow
