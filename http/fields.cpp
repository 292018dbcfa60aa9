#include "http/fields.hpp"

#include "http/url.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace troupe::http {

namespace {

constexpr std::size_t faults_max = 20;
constexpr std::size_t field_name_max = 200; // of what is echoed: map keys are the client's words

std::string number_text(double x) {
  char text[40];
  bool whole = x == std::floor(x) && std::fabs(x) < 1e15;
  std::snprintf(text, sizeof text, whole ? "%.0f" : "%g", x);
  return text;
}

std::string between(const rules& r) {
  if (r.min && r.max)
    return " between " + number_text(*r.min) + " and " + number_text(*r.max);
  if (r.min)
    return " of at least " + number_text(*r.min);
  return r.max ? " of at most " + number_text(*r.max) : std::string{};
}

std::string counted(std::optional<std::size_t> low, std::optional<std::size_t> high) {
  if (low && high && *low == *high)
    return std::to_string(*low);
  if (low && high)
    return std::to_string(*low) + " to " + std::to_string(*high);
  return low ? "at least " + std::to_string(*low) : "at most " + std::to_string(*high);
}

bool all(std::string_view text, std::string_view extra) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || extra.find(c) != extra.npos;
  });
}

bool plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
}

bool is_email(std::string_view text) {
  auto at = text.find('@');
  return at != text.npos && at > 0 && text.find('@', at + 1) == text.npos && text.find('.', at + 2) != text.npos &&
         text.back() != '.' && text.size() <= 254 && plain(text);
}

bool is_url(std::string_view text) {
  std::size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
  return scheme > 0 && text.size() > scheme && text[scheme] != '/' && text.size() <= 2048 && plain(text);
}

bool is_file_name(std::string_view text) {
  return !text.empty() && text.size() <= 255 && text.front() != '.' && text.find_first_of("/\\") == text.npos &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// How a form is checked, told in an error, and written in a schema.
struct form_words {
  form which;
  bool (*fits)(std::string_view);
  const char* must;
  const char* keyword; // of JSON Schema
  const char* value;
};
const form_words form_table[] = {
    {form::not_blank, [](std::string_view t) { return t.find_first_not_of(" \t\r\n\f\v") != t.npos; },
     "must not be blank", "pattern", "\\S"},
    {form::identifier, [](std::string_view t) { return all(t, "_-"); }, "may only have letters, digits, '_' and '-'",
     "pattern", "^[A-Za-z0-9_-]+$"},
    {form::email, is_email, "must be an e-mail address", "format", "email"},
    {form::url, is_url, "must be an http or https URL", "format", "uri"},
    {form::uuid, is_uuid, "must be a UUID", "format", "uuid"},
    {form::file_name, is_file_name, "must be a file name", "pattern", "^[^./\\\\][^/\\\\]*$"},
};

const form_words* words_of(form f) {
  auto found =
      std::find_if(std::begin(form_table), std::end(form_table), [f](const auto& row) { return row.which == f; });
  return found == std::end(form_table) ? nullptr : found;
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < 30; ++i)
    out += (i ? ", " : "") + names[i];
  return names.size() > 30 ? out + ", …" : out;
}

} // namespace

void value_reader::blame(const std::string& at, const std::string& what) {
  if (faults_.size() >= faults_max)
    return;
  auto field = at.substr(0, field_name_max);
  faults_.push_back({field, field + ' ' + what});
}

bool value_reader::count_fits(const std::string& at, const char* kind, const char* what, std::size_t count,
                              const rules& r) {
  if ((r.items_min && count < *r.items_min) || (r.items_max && count > *r.items_max)) {
    blame(at, std::string{"must "} + kind + ' ' + counted(r.items_min, r.items_max) + ' ' + what);
    return false;
  }
  return true;
}

void value_reader::read(const std::string& at, const json& in, bool& x, const rules&) {
  if (!in.is_boolean())
    return blame(at, "must be true or false");
  x = in.get<bool>();
}

bool value_reader::integer(const std::string& at, const json& in, std::int64_t low, std::int64_t high, const rules& r,
                           std::int64_t& x) {
  bool fits = in.is_number();
  if (in.is_number_unsigned()) {
    auto wide = in.get<std::uint64_t>();
    fits = wide <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    x = static_cast<std::int64_t>(wide);
  } else if (in.is_number_integer()) {
    x = in.get<std::int64_t>();
  } else if (fits) {
    auto real = in.get<double>();
    fits = real == std::floor(real) && std::fabs(real) < 9.0e15; // beyond, a double no longer says which integer
    x = fits ? static_cast<std::int64_t>(real) : 0;
  }
  fits = fits && x >= low && x <= high && (!r.min || static_cast<double>(x) >= *r.min) &&
         (!r.max || static_cast<double>(x) <= *r.max);
  if (!fits)
    blame(at, "must be an integer" + between(r));
  return fits;
}

void value_reader::read(const std::string& at, const json& in, int& x, const rules& r) {
  std::int64_t wide = 0;
  if (integer(at, in, std::numeric_limits<int>::min(), std::numeric_limits<int>::max(), r, wide))
    x = static_cast<int>(wide);
}

void value_reader::read(const std::string& at, const json& in, std::int64_t& x, const rules& r) {
  std::int64_t wide = 0;
  if (integer(at, in, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), r, wide))
    x = wide;
}

void value_reader::read(const std::string& at, const json& in, double& x, const rules& r) {
  if (!in.is_number())
    return blame(at, "must be a number" + between(r));
  auto value = in.get<double>();
  if (!std::isfinite(value) || (r.min && value < *r.min) || (r.max && value > *r.max))
    return blame(at, "must be a number" + between(r));
  x = value;
}

void value_reader::read(const std::string& at, const json& in, std::string& x, const rules& r) {
  if (!in.is_string())
    return blame(at, "must be a string");
  const auto& text = in.get_ref<const std::string&>();
  if (text.find('\0') != text.npos) // it would end the text for every C library behind us
    return blame(at, "must not contain a NUL character");
  if (!r.one_of.empty() && std::find(r.one_of.begin(), r.one_of.end(), text) == r.one_of.end())
    return blame(at, "must be one of " + listed(r.one_of));
  auto length = code_points(text);
  if ((r.length_min && length < *r.length_min) || (r.length_max && length > *r.length_max))
    return blame(at, "must be " + counted(r.length_min, r.length_max) + " characters long");
  if (auto* words = words_of(r.form); words && !words->fits(text))
    return blame(at, words->must);
  x = text;
}

void value_reader::read(const std::string&, const json& in, json& x, const rules&) { x = in; }

json query_reader::as_json(const std::string& text, kind wanted) {
  if (wanted == kind::boolean && (text == "true" || text == "1"))
    return true;
  if (wanted == kind::boolean && (text == "false" || text == "0"))
    return false;
  if (wanted == kind::number) {
    std::int64_t whole = 0;
    auto end = text.data() + text.size();
    if (auto [at, ec] = std::from_chars(text.data(), end, whole); ec == std::errc{} && at == end && !text.empty())
      return whole;
    double real = 0;
    if (auto [at, ec] = std::from_chars(text.data(), end, real); ec == std::errc{} && at == end && std::isfinite(real))
      return real;
  }
  return text;
}

json schema(const bool&, const rules&) { return {{"type", "boolean"}}; }

json schema(const std::int64_t&, const rules& r) {
  json out{{"type", "integer"}};
  if (r.min)
    out["minimum"] = static_cast<std::int64_t>(*r.min);
  if (r.max)
    out["maximum"] = static_cast<std::int64_t>(*r.max);
  return out;
}

json schema(const int&, const rules& r) { return schema(std::int64_t{}, r); }

json schema(const double&, const rules& r) {
  json out{{"type", "number"}};
  if (r.min)
    out["minimum"] = *r.min;
  if (r.max)
    out["maximum"] = *r.max;
  return out;
}

json schema(const std::string&, const rules& r) {
  json out{{"type", "string"}};
  if (r.length_min)
    out["minLength"] = *r.length_min;
  if (r.length_max)
    out["maxLength"] = *r.length_max;
  if (!r.one_of.empty())
    out["enum"] = r.one_of;
  if (auto* words = words_of(r.form))
    out[words->keyword] = words->value;
  return out;
}

json schema(const json&, const rules&) { return json::object(); }

json array_schema(json items, const rules& r) {
  json out{{"type", "array"}, {"items", std::move(items)}};
  if (r.items_min)
    out["minItems"] = *r.items_min;
  if (r.items_max)
    out["maxItems"] = *r.items_max;
  return out;
}

json map_schema(json values, const rules& r) {
  json out{{"type", "object"}, {"additionalProperties", std::move(values)}};
  if (r.items_max)
    out["maxProperties"] = *r.items_max;
  return out;
}

json schema_writer::finish() && {
  json out{{"type", "object"}, {"properties", std::move(properties_)}};
  if (!required_.empty())
    out["required"] = std::move(required_);
  return out;
}

} // namespace troupe::http
