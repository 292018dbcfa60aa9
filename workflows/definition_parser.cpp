#include "common/exact_integer.hpp"
#include "common/sha256.hpp"
#include "workflows/definition.hpp"
#include "workflows/definition_checker.hpp"
#include "workflows/price_rules.hpp"

#include <algorithm>
#include <set>

namespace troupe::workflow {

namespace {

constexpr std::size_t name_length_max = 64;
constexpr std::size_t inputs_max = 100;
constexpr std::size_t stages_max = 100;
constexpr std::size_t rule_depth_max = 4;

bool is_name(std::string_view text) {
  auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= name_length_max && text[0] >= 'a' && text[0] <= 'z' &&
         std::all_of(text.begin(), text.end(), allowed);
}

constexpr auto name_form = "must begin with a letter and be of a-z, 0-9, '_' and '-', at most 64";

/// Turns one document into a definition and notes what does not have the right form.
class parser {
public:
  explicit parser(std::string file) : file_(std::move(file)) {}

  definition parse(const json& document);
  std::vector<problem> problems;

private:
  using words = std::vector<std::string>;

  void wrong(const std::string& field, std::string message) {
    problems.push_back({file_, stage_, field, std::move(message)});
  }
  bool object(const json& value, const std::string& field, const words& known);
  std::string text(const json& in, const std::string& key, const std::string& field, bool required);
  std::int64_t whole(const json& in, const std::string& key, const std::string& field, std::int64_t fallback,
                     std::int64_t min, std::int64_t max);
  std::optional<catalog::tier> tier(const json& in, const std::string& field);
  std::optional<expression> value(const json& in, const std::string& field);
  port_reference port(const json& in, const std::string& field);

  value_rule rule(const json& in, const std::string& field, std::size_t depth);
  void rule_bounds(const json& in, const std::string& field, value_rule& out);
  void rule_parts(const json& in, const std::string& field, std::size_t depth, value_rule& out);
  void rule_default(const json& in, const std::string& field, value_rule& out);
  stage_definition stage(const json& in, std::size_t at);
  void stage_for_each(const json& in, stage_definition& out);
  void stage_params(const json& in, stage_definition& out);
  void stage_inputs(const json& in, stage_definition& out);
  void stage_after(const json& in, stage_definition& out);
  void stage_price_of(const json& in, stage_definition& out);
  void results(const json& in, definition& out);

  std::string file_;
  std::string stage_;
};

bool parser::object(const json& value, const std::string& field, const words& known) {
  if (!value.is_object()) {
    wrong(field, "must be an object");
    return false;
  }
  for (const auto& [key, ignored] : value.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end())
      continue;
    auto meant = nearest(key, known);
    wrong(field.empty() ? key : field + "." + key,
          meant.empty() ? "unknown field" : "unknown field; did you mean '" + meant + "'?");
  }
  return true;
}

std::string parser::text(const json& in, const std::string& key, const std::string& field, bool required) {
  auto found = in.find(key);
  if (found == in.end()) {
    if (required)
      wrong(field, "is missing");
    return "";
  }
  if (!found->is_string()) {
    wrong(field, "must be a string");
    return "";
  }
  if (required && found->get_ref<const std::string&>().empty())
    wrong(field, "must not be empty");
  return found->get<std::string>();
}

std::int64_t parser::whole(const json& in, const std::string& key, const std::string& field, std::int64_t fallback,
                           std::int64_t min, std::int64_t max) {
  auto found = in.find(key);
  if (found == in.end())
    return fallback;
  value_rule bounds;
  bounds.type = value_type::integer;
  bounds.min = static_cast<double>(min);
  bounds.max = static_cast<double>(max);
  auto checked = check_value(bounds, *found, field);
  if (checked)
    return checked->get<std::int64_t>();
  wrong(field, checked.error().message.substr(field.size() + 1));
  return fallback;
}

std::optional<catalog::tier> parser::tier(const json& in, const std::string& field) {
  auto name = text(in, "min_tier", field, false);
  if (name.empty())
    return std::nullopt;
  auto found = catalog::tier_of(name);
  if (!found)
    wrong(field, "unknown tier '" + name + "'; there are free, starter, creator, pro, studio and enterprise");
  return found;
}

std::optional<expression> parser::value(const json& in, const std::string& field) {
  auto parsed = expression::parse(in);
  if (parsed)
    return *parsed;
  wrong(field, parsed.error().message);
  return std::nullopt;
}

port_reference parser::port(const json& in, const std::string& field) {
  if (in.is_string()) {
    const auto& reference = in.get_ref<const std::string&>();
    auto dot = reference.find('.');
    if (dot != std::string::npos && dot > 0 && dot + 1 < reference.size())
      return {reference.substr(0, dot), reference.substr(dot + 1)};
  }
  wrong(field, "must be \"stage.port\"");
  return {};
}

void parser::rule_bounds(const json& in, const std::string& field, value_rule& out) {
  bool numeric = out.type == value_type::integer || out.type == value_type::number;
  bool sized = out.type == value_type::string || out.type == value_type::list;
  auto unfit = [&](const char* key, bool fits) {
    if (in.contains(key) && !fits)
      wrong(field + "." + key, "does not fit the type " + std::string{name_of(out.type)});
    return !in.contains(key) || !fits;
  };
  for (auto [key, bound] : {std::pair{"min", &out.min}, std::pair{"max", &out.max}}) {
    if (unfit(key, numeric))
      continue;
    auto x = in[key].is_number() ? in[key].get<double>() : std::nan("");
    if (!std::isfinite(x))
      wrong(field + "." + key, "must be a number");
    else if (out.type == value_type::integer && !is_exact_integer(x))
      wrong(field + "." + key, "must be an integer, at most 2^53 either way");
    else
      *bound = x;
  }
  if (out.min && out.max && *out.min > *out.max)
    wrong(field + ".max", "is below min");
  if (!unfit("multiple_of", out.type == value_type::integer))
    out.multiple_of = whole(in, "multiple_of", field + ".multiple_of", 1, 1, 1'000'000);
  auto most = out.type == value_type::list ? value_limits::list_length_max : value_limits::string_length_max;
  if (out.type == value_type::list)
    out.max_length = most;
  auto limit = static_cast<std::int64_t>(most);
  if (!unfit("min_length", sized))
    out.min_length = static_cast<std::size_t>(whole(in, "min_length", field + ".min_length", 0, 0, limit));
  if (!unfit("max_length", sized))
    out.max_length = static_cast<std::size_t>(whole(in, "max_length", field + ".max_length", limit, 1, limit));
  else if (out.type == value_type::list)
    wrong(field + ".max_length", "is missing: a list needs a limit");
  if (sized && out.min_length > out.max_length)
    wrong(field + ".max_length", "is below min_length");
}

void parser::rule_parts(const json& in, const std::string& field, std::size_t depth, value_rule& out) {
  auto belongs = [&](const char* key, value_type type) {
    if (in.contains(key) != (out.type == type))
      wrong(field + "." + key,
            out.type == type ? "is missing" : "does not fit the type " + std::string{name_of(out.type)});
    return in.contains(key) && out.type == type;
  };
  if (belongs("choices", value_type::choice)) {
    if (in["choices"].is_array())
      for (const auto& word : in["choices"])
        if (word.is_string())
          out.choices.push_back(word.get<std::string>());
    if (out.choices.empty() || out.choices.size() != in["choices"].size())
      wrong(field + ".choices", "must be a list of strings");
  }
  if (belongs("fields", value_type::object)) {
    if (!in["fields"].is_object() || in["fields"].empty() || in["fields"].size() > inputs_max)
      wrong(field + ".fields", "must be an object of 1 to 100 fields");
    else
      for (const auto& [name, written] : in["fields"].items()) {
        if (!is_name(name))
          wrong(field + ".fields." + name, name_form);
        out.fields.emplace_back(name, rule(written, field + ".fields." + name, depth + 1));
      }
  }
  if (belongs("items", value_type::list))
    out.items.push_back(rule(in["items"], field + ".items", depth + 1));
}

void parser::rule_default(const json& in, const std::string& field, value_rule& out) {
  if (!in.contains("default"))
    return;
  const auto& given = in["default"];
  if (out.required)
    wrong(field + ".default", "a required value cannot have a default");
  bool reference = given.is_string() && given.get_ref<const std::string&>().starts_with('$');
  if (reference) {
    out.fallback = given; // its target is checked when all inputs are known
    return;
  }
  auto checked = check_value(out, given, "it");
  if (!checked)
    wrong(field + ".default", checked.error().message);
  else
    out.fallback = std::move(*checked);
}

value_rule parser::rule(const json& in, const std::string& field, std::size_t depth) {
  value_rule out;
  if (depth > rule_depth_max) {
    wrong(field, "nests too deep");
    return out;
  }
  if (!object(in, field,
              {"type", "description", "required", "default", "min", "max", "multiple_of", "min_length", "max_length",
               "choices", "fields", "items"}))
    return out;
  auto type_name = text(in, "type", field + ".type", true);
  auto type = value_type_of(type_name);
  if (!type) {
    if (!type_name.empty())
      wrong(field + ".type", "unknown type '" + type_name +
                                 "'; there are string, integer, number, boolean, enum, video_model, list and, as "
                                 "items of a list, object");
    return out;
  }
  out.type = *type;
  if (out.type == value_type::object && depth == 1)
    wrong(field + ".type", "an object can only be the items of a list");
  out.description = text(in, "description", field + ".description", false);
  if (in.contains("required")) {
    if (in["required"].is_boolean())
      out.required = in["required"].get<bool>();
    else
      wrong(field + ".required", "must be true or false");
  }
  auto before = problems.size();
  rule_bounds(in, field, out);
  rule_parts(in, field, depth, out);
  if (problems.size() == before)
    rule_default(in, field, out);
  return out;
}

void parser::stage_for_each(const json& in, stage_definition& out) {
  auto what = text(in, "for_each", "for_each", false);
  if (what.empty())
    return;
  if (what.starts_with("inputs."))
    out.for_each = fan_out{what.substr(7), ""};
  else
    out.for_each = fan_out{"", what};
}

void parser::stage_params(const json& in, stage_definition& out) {
  auto found = in.find("params");
  if (found == in.end())
    return;
  if (!found->is_object())
    return wrong("params", "must be an object");
  for (const auto& [name, written] : found->items())
    if (auto parsed = value(written, "params." + name))
      out.params.emplace_back(name, std::move(*parsed));
}

void parser::stage_inputs(const json& in, stage_definition& out) {
  auto found = in.find("inputs");
  if (found == in.end())
    return;
  if (!found->is_object())
    return wrong("inputs", "must be an object");
  for (const auto& [name, written] : found->items()) {
    input_binding bound{name, {}};
    auto field = "inputs." + name;
    if (!written.is_array())
      bound.from.push_back(port(written, field));
    else if (written.empty())
      wrong(field, "must not be empty");
    else
      for (std::size_t i = 0; i < written.size(); ++i)
        bound.from.push_back(port(written[i], field + "[" + std::to_string(i) + "]"));
    out.inputs.push_back(std::move(bound));
  }
}

void parser::stage_after(const json& in, stage_definition& out) {
  auto found = in.find("after");
  if (found == in.end())
    return;
  if (!found->is_array() || !std::all_of(found->begin(), found->end(), [](const auto& one) { return one.is_string(); }))
    return wrong("after", "must be a list of stage ids");
  for (const auto& id : *found)
    out.after.push_back(id.get<std::string>());
}

void parser::stage_price_of(const json& in, stage_definition& out) {
  auto found = in.find("price");
  if (found == in.end())
    return wrong("price", "is missing; {\"rule\": \"free\"} when it costs nothing");
  if (!found->is_object())
    return wrong("price", "must be an object");
  out.price.rule = text(*found, "rule", "price.rule", true);
  for (const auto& [name, written] : found->items())
    if (name != "rule")
      if (auto parsed = value(written, "price." + name))
        out.price.arguments.emplace_back(name, std::move(*parsed));
}

stage_definition parser::stage(const json& in, std::size_t at) {
  stage_definition out;
  stage_ = "#" + std::to_string(at + 1);
  if (!in.is_object()) {
    wrong("", "must be an object");
    return out;
  }
  out.id = text(in, "id", "id", true);
  if (!out.id.empty()) {
    stage_ = out.id;
    if (!is_name(out.id))
      wrong("id", name_form);
    else if (out.id == "inputs")
      wrong("id", "'inputs' is taken");
  }
  object(in, "",
         {"id", "title", "kind", "for_each", "params", "inputs", "after", "price", "retry", "timeout_s", "estimate_s",
          "vram_mib", "class", "speculative", "min_tier"});
  out.title = text(in, "title", "title", false);
  if (out.title.empty())
    out.title = out.id;
  auto kind = text(in, "kind", "kind", true);
  out.kind = find_stage_kind(kind);
  if (!out.kind && !kind.empty()) {
    words known;
    for (const auto& one : stage_kinds())
      known.push_back(one.name);
    auto meant = nearest(kind, known);
    wrong("kind", "unknown stage kind '" + kind + "'" + (meant.empty() ? "" : "; did you mean '" + meant + "'?"));
  }
  stage_for_each(in, out);
  stage_params(in, out);
  stage_inputs(in, out);
  stage_after(in, out);
  stage_price_of(in, out);
  if (in.contains("retry") && object(in["retry"], "retry", {"attempts", "backoff_ms"})) {
    out.retry.attempts = static_cast<std::uint32_t>(whole(in["retry"], "attempts", "retry.attempts", 3, 1, 10));
    out.retry.backoff_ms =
        static_cast<std::uint32_t>(whole(in["retry"], "backoff_ms", "retry.backoff_ms", 1'000, 0, 300'000));
  }
  out.timeout_s = static_cast<std::uint32_t>(whole(in, "timeout_s", "timeout_s", 600, 1, 86'400));
  if (in.contains("estimate_s"))
    out.estimate_s = value(in["estimate_s"], "estimate_s");
  out.vram_mib = static_cast<std::uint32_t>(whole(in, "vram_mib", "vram_mib", 0, 0, 1 << 20));
  if (auto name = text(in, "class", "class", false); !name.empty()) {
    auto known = stage_class_of(name);
    if (!known)
      wrong("class", "unknown class '" + name + "'; there are interactive, standard and preemptible");
    out.urgency = known.value_or(stage_class::standard);
  }
  if (in.contains("speculative")) {
    if (in["speculative"].is_boolean())
      out.speculative = in["speculative"].get<bool>();
    else
      wrong("speculative", "must be true or false");
  }
  out.min_tier = tier(in, "min_tier");
  return out;
}

void parser::results(const json& in, definition& out) {
  auto found = in.find("result");
  if (found == in.end() || !found->is_object() || found->empty())
    return wrong("result", "must be an object with at least one result");
  for (const auto& [name, written] : found->items()) {
    auto field = "result." + name;
    if (!is_name(name))
      wrong(field, name_form);
    if (!object(written, field, {"from", "filename"}))
      continue;
    result_definition one{name, {}, text(written, "filename", field + ".filename", true)};
    if (written.contains("from"))
      one.from = port(written["from"], field + ".from");
    else
      wrong(field + ".from", "is missing");
    out.results.push_back(std::move(one));
  }
}

definition parser::parse(const json& document) {
  definition out;
  if (!object(document, "", {"name", "version", "title", "description", "min_tier", "inputs", "stages", "result"}))
    return out;
  out.name = text(document, "name", "name", true);
  if (!out.name.empty() && !is_name(out.name))
    wrong("name", name_form);
  if (!document.contains("version"))
    wrong("version", "is missing");
  out.version = static_cast<std::uint32_t>(whole(document, "version", "version", 1, 1, 1'000'000'000));
  out.title = text(document, "title", "title", false);
  out.description = text(document, "description", "description", false);
  out.min_tier = tier(document, "min_tier");
  if (document.contains("inputs")) {
    if (!document["inputs"].is_object() || document["inputs"].size() > inputs_max)
      wrong("inputs", "must be an object of at most 100 inputs");
    else
      for (const auto& [name, written] : document["inputs"].items()) {
        if (!is_name(name))
          wrong("inputs." + name, name_form);
        out.inputs.emplace_back(name, rule(written, "inputs." + name, 1));
      }
  }
  auto stages = document.find("stages");
  if (stages == document.end() || !stages->is_array() || stages->empty() || stages->size() > stages_max)
    wrong("stages", "must be a list of 1 to 100 stages");
  else
    for (std::size_t i = 0; i < stages->size(); ++i)
      out.stages.push_back(stage((*stages)[i], i));
  stage_.clear();
  results(document, out);
  return out;
}

} // namespace

parsed_definition parse_definition(const json& document, const std::string& file) {
  parser reading{file};
  auto out = std::make_shared<definition>(reading.parse(document));
  // What the pieces mean together is only worth saying when each piece has its form.
  if (reading.problems.empty())
    reading.problems = check_definition(*out, file);
  if (!reading.problems.empty())
    return {nullptr, std::move(reading.problems)};
  out->document = document;
  out->hash = sha256_hex(document.dump(-1, ' ', false, json::error_handler_t::replace));
  return {std::move(out), {}};
}

parsed_definition parse_definition_text(std::string_view text, const std::string& file) {
  auto document = parse_json(text);
  if (!document)
    return {nullptr, {{file, "", "", document.error().message}}};
  return parse_definition(*document, file);
}

} // namespace troupe::workflow
