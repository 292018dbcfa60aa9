#pragma once

// Bodies and queries are described once: `describe(v, x)` names each field of x with its rules. Reading with errors
// that name the field, and the schema in the OpenAPI document, are both made from that, so they cannot disagree.
//
//   template <class V> void describe(V& v, create_key& x) {
//     v.required("name", x.name, "what the key is for", {.length_min = 1, .length_max = 80});
//     v.optional("frames", x.frames, "length of the video", {.min = 1, .max = 999});
//   }
//
// Field types: bool, int, std::int64_t, double, std::string, json (anything), std::optional, std::vector,
// std::map<std::string, …> of these, and described structs. Unknown fields are ignored; null counts as absent. An
// integer may be written 41 or 41.0 (as JSON Schema has it), never as "41" or true.

#include "common/json.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe::http {

/// What a text must look like.
enum class form { any, not_blank, identifier, email, url, uuid, file_name };

/// What a field's value must satisfy. Only what fits its type counts.
struct rules {
  std::optional<double> min = std::nullopt, max = std::nullopt;                    ///< of numbers, inclusive
  std::optional<std::size_t> length_min = std::nullopt, length_max = std::nullopt; ///< of text, in code points
  std::vector<std::string> one_of = {};                                            ///< of text
  http::form form = http::form::any;                                               ///< of text
  std::optional<std::size_t> items_min = std::nullopt, items_max = std::nullopt;   ///< of arrays and maps
};

struct fault {
  std::string field;   ///< "shots[1].prompt"
  std::string message; ///< "shots[1].prompt must be a string"
};

/// Reads one value into a field; the faults are collected, at most 20.
class value_reader {
public:
  void read(const std::string& at, const json& in, bool& x, const rules& r);
  void read(const std::string& at, const json& in, int& x, const rules& r);
  void read(const std::string& at, const json& in, std::int64_t& x, const rules& r);
  void read(const std::string& at, const json& in, double& x, const rules& r);
  void read(const std::string& at, const json& in, std::string& x, const rules& r);
  void read(const std::string& at, const json& in, json& x, const rules& r);

  template <class T>
  void read(const std::string& at, const json& in, std::optional<T>& x, const rules& r) {
    read(at, in, x.emplace(), r);
  }
  template <class T>
  void read(const std::string& at, const json& in, std::vector<T>& x, const rules& r);
  template <class T>
  void read(const std::string& at, const json& in, std::map<std::string, T>& x, const rules& r);
  template <class T>
  requires std::is_class_v<T>
  void read(const std::string& at, const json& in, T& x, const rules& r);

  void blame(const std::string& at, const std::string& what);
  const std::vector<fault>& faults() const { return faults_; }

private:
  bool count_fits(const std::string& at, const char* kind, const char* what, std::size_t count, const rules& r);
  bool integer(const std::string& at, const json& in, std::int64_t low, std::int64_t high, const rules& r,
               std::int64_t& x);

  std::vector<fault> faults_;
};

/// The visitor that reads a JSON object.
class body_reader {
public:
  body_reader(value_reader& values, const json& from, std::string prefix)
    : values_(values), from_(from), prefix_(std::move(prefix)) {}

  template <class T>
  void required(const char* name, T& x, std::string_view /*meaning*/, const rules& r = {}) {
    if (auto found = from_.find(name); found != from_.end() && !found->is_null())
      values_.read(prefix_ + name, *found, x, r);
    else
      values_.blame(prefix_ + name, "is required");
  }
  template <class T>
  void optional(const char* name, T& x, std::string_view /*meaning*/, const rules& r = {}) {
    if (auto found = from_.find(name); found != from_.end() && !found->is_null())
      values_.read(prefix_ + name, *found, x, r);
  }

private:
  value_reader& values_;
  const json& from_;
  std::string prefix_;
};

/// The visitor that reads a query. Arrays are repeated parameters; structs and maps do not occur.
class query_reader {
public:
  query_reader(value_reader& values, const std::multimap<std::string, std::string>& from)
    : values_(values), from_(from) {}

  template <class T>
  void required(const char* name, T& x, std::string_view meaning, const rules& r = {}) {
    if (from_.contains(name))
      optional(name, x, meaning, r);
    else
      values_.blame(name, "is required");
  }
  template <class T>
  void optional(const char* name, T& x, std::string_view /*meaning*/, const rules& r = {}) {
    if (auto found = from_.lower_bound(name); found != from_.end() && found->first == name)
      read(name, found, x, r);
  }

private:
  using iterator = std::multimap<std::string, std::string>::const_iterator;
  template <class T>
  void read(const char* name, iterator at, T& x, const rules& r) {
    values_.read(name, as_json(at->second, kind_of<T>()), x, r);
  }
  template <class T>
  void read(const char* name, iterator at, std::optional<T>& x, const rules& r) {
    read(name, at, x.emplace(), r);
  }
  template <class T>
  void read(const char* name, iterator at, std::vector<T>& x, const rules& r) {
    json all = json::array();
    for (; at != from_.end() && at->first == name; ++at)
      all.push_back(as_json(at->second, kind_of<T>()));
    values_.read(name, all, x, r);
  }

  enum class kind { text, number, boolean };
  template <class T>
  static constexpr kind kind_of() {
    if constexpr (std::is_same_v<T, bool>)
      return kind::boolean;
    else
      return std::is_arithmetic_v<T> ? kind::number : kind::text;
  }
  // What does not look like the kind stays text, which the reader then blames by the field's name.
  static json as_json(const std::string& text, kind wanted);

  value_reader& values_;
  const std::multimap<std::string, std::string>& from_;
};

/// The JSON schema of a value by its type and rules.
json schema(const bool&, const rules& r);
json schema(const int&, const rules& r);
json schema(const std::int64_t&, const rules& r);
json schema(const double&, const rules& r);
json schema(const std::string&, const rules& r);
json schema(const json&, const rules& r);
template <class T>
json schema(const std::optional<T>&, const rules& r);
template <class T>
json schema(const std::vector<T>&, const rules& r);
template <class T>
json schema(const std::map<std::string, T>&, const rules& r);
template <class T>
requires std::is_class_v<T> json schema(const T&, const rules& r);

/// The visitor that writes a schema.
class schema_writer {
public:
  template <class T>
  void required(const char* name, T& x, std::string_view meaning, const rules& r = {}) {
    add(name, x, meaning, r);
    required_.push_back(name);
  }
  template <class T>
  void optional(const char* name, T& x, std::string_view meaning, const rules& r = {}) {
    add(name, x, meaning, r);
    // The value that a fresh struct has is what an absent field means.
    if constexpr (std::is_arithmetic_v<T>)
      properties_[name]["default"] = x;
    else if constexpr (std::is_same_v<T, std::string>)
      if (!x.empty())
        properties_[name]["default"] = x;
  }
  json finish() &&;

private:
  template <class T>
  void add(const char* name, T& x, std::string_view meaning, const rules& r) {
    properties_[name] = schema(x, r);
    if (!meaning.empty())
      properties_[name]["description"] = meaning;
  }
  json properties_ = json::object();
  json required_ = json::array();
};

json array_schema(json items, const rules& r);
json map_schema(json values, const rules& r);

template <class T>
json schema(const std::optional<T>&, const rules& r) {
  return schema(T{}, r);
}
template <class T>
json schema(const std::vector<T>&, const rules& r) {
  return array_schema(schema(T{}, r), r);
}
template <class T>
json schema(const std::map<std::string, T>&, const rules& r) {
  return map_schema(schema(T{}, r), r);
}
template <class T>
requires std::is_class_v<T> json schema(const T&, const rules&) {
  T sample{};
  schema_writer v;
  describe(v, sample);
  return std::move(v).finish();
}

template <class T>
void value_reader::read(const std::string& at, const json& in, std::vector<T>& x, const rules& r) {
  if (!in.is_array())
    return blame(at, "must be an array");
  if (!count_fits(at, "have", "items", in.size(), r))
    return;
  x.clear();
  for (std::size_t i = 0; i < in.size(); ++i) {
    T one{};
    read(at + '[' + std::to_string(i) + ']', in[i], one, r);
    x.push_back(std::move(one));
  }
}
template <class T>
void value_reader::read(const std::string& at, const json& in, std::map<std::string, T>& x, const rules& r) {
  if (!in.is_object())
    return blame(at, "must be an object");
  if (!count_fits(at, "have", "entries", in.size(), r))
    return;
  x.clear();
  for (const auto& [key, value] : in.items())
    read(at + '.' + key, value, x[key], r);
}
template <class T>
requires std::is_class_v<T>
void value_reader::read(const std::string& at, const json& in, T& x, const rules&) {
  if (!in.is_object())
    return blame(at, "must be an object");
  body_reader nested{*this, in, at + '.'};
  describe(nested, x);
}

} // namespace troupe::http
