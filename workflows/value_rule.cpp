#include "workflows/value_rule.hpp"

#include "common/catalog/models.hpp"
#include "common/exact_integer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace troupe::workflow {

namespace {

constexpr std::array<std::pair<value_type, std::string_view>, 8> type_names{{{value_type::string, "string"},
                                                                             {value_type::integer, "integer"},
                                                                             {value_type::number, "number"},
                                                                             {value_type::boolean, "boolean"},
                                                                             {value_type::choice, "enum"},
                                                                             {value_type::video_model, "video_model"},
                                                                             {value_type::object, "object"},
                                                                             {value_type::list, "list"}}};

failure wrong(const std::string& field, std::string_view what) {
  return fail("invalid_input", field + " " + std::string{what});
}

std::string number_text(double x) {
  if (x == std::floor(x) && std::abs(x) < 1e15)
    return std::to_string(static_cast<std::int64_t>(x));
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", x);
  return text.data();
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
  });
}

result<json> check_string(const value_rule& rule, const json& value, const std::string& field) {
  if (!value.is_string())
    return wrong(field, "must be a string");
  const auto& text = value.get_ref<const std::string&>();
  // A text so long is refused before it is looked at; a code point has at most 4 bytes.
  auto most = std::min(rule.max_length, value_limits::string_length_max);
  if (text.size() > 4 * most)
    return wrong(field, "must be at most " + std::to_string(most) + " characters long");
  auto length = utf8_length(text);
  if (!length)
    return wrong(field, "must be valid UTF-8");
  if (has_control_characters(text))
    return wrong(field, "must not contain control characters");
  if (rule.min_length > 0 && std::all_of(text.begin(), text.end(), is_space))
    return wrong(field, "must not be empty");
  if (*length < rule.min_length)
    return wrong(field, "must be at least " + std::to_string(rule.min_length) + " characters long");
  if (*length > most)
    return wrong(field,
                 "must be at most " + std::to_string(most) + " characters long, it is " + std::to_string(*length));
  return value;
}

result<json> check_number(const value_rule& rule, const json& value, const std::string& field) {
  bool whole = rule.type == value_type::integer;
  if (!value.is_number())
    return wrong(field, whole ? "must be an integer" : "must be a number");
  auto x = value.get<double>();
  if (!std::isfinite(x))
    return wrong(field, "must be a finite number");
  if (rule.min && x < *rule.min)
    return wrong(field, "must be at least " + number_text(*rule.min));
  if (rule.max && x > *rule.max)
    return wrong(field, "must be at most " + number_text(*rule.max));
  if (!whole)
    return value;
  if (!is_exact_integer(x))
    return wrong(field, "must be an integer");
  auto n = value.is_number_float() ? static_cast<std::int64_t>(x) : value.get<std::int64_t>();
  if (rule.multiple_of > 1 && n % rule.multiple_of != 0)
    return wrong(field,
                 rule.multiple_of == 2 ? "must be even" : "must be a multiple of " + std::to_string(rule.multiple_of));
  return json(n);
}

result<json> check_choice(const value_rule& rule, const json& value, const std::string& field) {
  if (!value.is_string())
    return wrong(field, "must be a string");
  if (std::find(rule.choices.begin(), rule.choices.end(), value.get_ref<const std::string&>()) != rule.choices.end())
    return value;
  std::string all;
  for (const auto& choice : rule.choices)
    all += (all.empty() ? "" : ", ") + choice;
  return wrong(field, "must be one of " + all);
}

result<json> check_video_model(const json& value, const std::string& field) {
  if (!value.is_string())
    return wrong(field, "must be a string");
  if (!catalog::find_video_model(value.get_ref<const std::string&>()))
    return wrong(field, "is not a known video model; GET /api/models lists them");
  return value;
}

result<json> check_list(const value_rule& rule, const json& value, const std::string& field) {
  if (!value.is_array())
    return wrong(field, "must be a list");
  auto most = std::min(rule.max_length, value_limits::list_length_max);
  if (value.empty() && rule.min_length > 0)
    return wrong(field, "must not be empty");
  if (value.size() < rule.min_length)
    return wrong(field, "must have at least " + std::to_string(rule.min_length) + " items");
  if (value.size() > most)
    return wrong(field, "must have at most " + std::to_string(most) + " items, it has " + std::to_string(value.size()));
  auto out = json::array();
  for (std::size_t i = 0; i < value.size(); ++i) {
    auto item = check_value(rule.items.front(), value[i], field + "[" + std::to_string(i) + "]");
    if (!item)
      return item;
    out.push_back(std::move(*item));
  }
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      auto above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

json number_schema(const value_rule& rule) {
  json out{{"type", rule.type == value_type::integer ? "integer" : "number"}};
  auto bound = [&](double x) {
    return rule.type == value_type::integer ? json(static_cast<std::int64_t>(x)) : json(x);
  };
  if (rule.min)
    out["minimum"] = bound(*rule.min);
  if (rule.max)
    out["maximum"] = bound(*rule.max);
  if (rule.multiple_of > 1)
    out["multipleOf"] = rule.multiple_of;
  return out;
}

json type_schema(const value_rule& rule) {
  switch (rule.type) {
    case value_type::string:
      return {{"type", "string"}, {"minLength", rule.min_length}, {"maxLength", rule.max_length}};
    case value_type::integer:
    case value_type::number: return number_schema(rule);
    case value_type::boolean: return {{"type", "boolean"}};
    case value_type::choice: return {{"type", "string"}, {"enum", rule.choices}};
    case value_type::video_model: {
      auto ids = json::array();
      for (const auto& model : catalog::video_models())
        ids.push_back(model.id);
      return {{"type", "string"}, {"enum", std::move(ids)}};
    }
    case value_type::object: return schema_of(rule.fields);
    case value_type::list:
      return {{"type", "array"},
              {"minItems", rule.min_length},
              {"maxItems", rule.max_length},
              {"items", schema_of(rule.items.front())}};
  }
  return json::object();
}

} // namespace

value_rule::value_rule() = default;
value_rule::value_rule(const value_rule&) = default;
value_rule::value_rule(value_rule&&) noexcept = default;
value_rule& value_rule::operator=(const value_rule&) = default;
value_rule& value_rule::operator=(value_rule&&) noexcept = default;
value_rule::~value_rule() = default;

std::string_view name_of(value_type type) {
  for (const auto& [known, name] : type_names)
    if (known == type)
      return name;
  return "";
}

std::optional<value_type> value_type_of(std::string_view name) {
  for (const auto& [type, known] : type_names)
    if (known == name)
      return type;
  return std::nullopt;
}

result<json> check_value(const value_rule& rule, const json& value, const std::string& field) {
  switch (rule.type) {
    case value_type::string: return check_string(rule, value, field);
    case value_type::integer:
    case value_type::number: return check_number(rule, value, field);
    case value_type::boolean:
      if (!value.is_boolean())
        return wrong(field, "must be true or false");
      return value;
    case value_type::choice: return check_choice(rule, value, field);
    case value_type::video_model: return check_video_model(value, field);
    case value_type::object:
      if (!value.is_object())
        return wrong(field, "must be an object");
      return check_fields(rule.fields, value, field + ".");
    case value_type::list: return check_list(rule, value, field);
  }
  return wrong(field, "has no type");
}

result<json> check_fields(const std::vector<std::pair<std::string, value_rule>>& rules, const json& values,
                          const std::string& prefix) {
  auto out = json::object();
  for (const auto& [name, rule] : rules) {
    auto given = values.find(name);
    if (given != values.end() && !given->is_null()) {
      auto checked = check_value(rule, *given, prefix + name);
      if (!checked)
        return checked;
      out[name] = std::move(*checked);
    } else if (!rule.fallback.is_null()) {
      out[name] = rule.fallback;
    } else if (rule.required) {
      return wrong(prefix + name, "is required");
    }
  }
  return out;
}

json schema_of(const value_rule& rule) {
  auto out = type_schema(rule);
  if (!rule.description.empty())
    out["description"] = rule.description;
  bool computed = rule.fallback.is_string() && rule.fallback.get_ref<const std::string&>().starts_with('$');
  if (!rule.fallback.is_null() && !computed)
    out["default"] = rule.fallback;
  return out;
}

json schema_of(const std::vector<std::pair<std::string, value_rule>>& fields) {
  json out{{"type", "object"}, {"properties", json::object()}};
  auto required = json::array();
  for (const auto& [name, rule] : fields) {
    out["properties"][name] = schema_of(rule);
    if (rule.required)
      required.push_back(name);
  }
  if (!required.empty())
    out["required"] = std::move(required);
  return out;
}

std::optional<std::size_t> utf8_length(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++count) {
    auto lead = static_cast<unsigned char>(text[i]);
    std::size_t width = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (width == 0 || i + width > text.size())
      return std::nullopt;
    constexpr std::array<std::uint32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
    std::uint32_t point = width == 1 ? lead : lead & (0x7fu >> width);
    for (std::size_t k = 1; k < width; ++k) {
      auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xc0) != 0x80)
        return std::nullopt;
      point = point << 6 | (byte & 0x3f);
    }
    if (point < smallest[width] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      return std::nullopt;
    i += width;
  }
  return count;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  auto least = std::max<std::size_t>(2, word.size() / 3) + 1;
  if (word.size() > 64)
    return best;
  for (const auto& candidate : known) {
    auto distance = edit_distance(word, candidate);
    if (distance < least && distance < candidate.size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

} // namespace troupe::workflow
