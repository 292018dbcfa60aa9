#pragma once

// A stage's parameters, read once more where they are used: the head has validated them, but an engine checks what
// could hurt it. The first thing wrong is kept, so that an engine reads all it needs and asks once.

#include "gpu/engines/engine.hpp"

#include <initializer_list>
#include <string>
#include <string_view>

namespace troupe::engines {

class parameters {
public:
  explicit parameters(const json& values) : values_(values.is_object() ? &values : nullptr) {
    if (!values_)
      complain("the parameters are not an object");
  }

  std::int64_t integer(const char* name, std::int64_t least, std::int64_t most, std::int64_t otherwise) {
    const json* const value = find(name);
    if (!value)
      return otherwise;
    if (!value->is_number_integer() || *value < least || *value > most)
      return complain(std::string(name) + " must be a whole number from " + std::to_string(least) + " to " +
                      std::to_string(most)),
             otherwise;
    return value->get<std::int64_t>();
  }

  double number(const char* name, double least, double most, double otherwise) {
    const json* const value = find(name);
    if (!value)
      return otherwise;
    if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
      return complain(std::string(name) + " must be a number from " + json(least).dump() + " to " + json(most).dump()),
             otherwise;
    return value->get<double>();
  }

  /// Text of at most `bytes_max` bytes.
  std::string text(const char* name, std::size_t bytes_max, std::string otherwise = {}) {
    const json* const value = find(name);
    if (!value)
      return otherwise;
    if (!value->is_string() || value->get_ref<const std::string&>().size() > bytes_max)
      return complain(std::string(name) + " must be text of at most " + std::to_string(bytes_max) + " bytes"),
             otherwise;
    return value->get<std::string>();
  }

  std::string choice(const char* name, std::initializer_list<std::string_view> allowed, std::string_view otherwise) {
    const json* const value = find(name);
    if (!value)
      return std::string(otherwise);
    std::string list;
    for (const auto each : allowed) {
      if (value->is_string() && value->get_ref<const std::string&>() == each)
        return std::string(each);
      list += (list.empty() ? "" : ", ") + std::string(each);
    }
    return complain(std::string(name) + " must be one of " + list), std::string(otherwise);
  }

  /// What was wrong first; empty when all was well.
  const std::string& wrong() const { return wrong_; }

private:
  const json* find(const char* name) const {
    if (!values_)
      return nullptr;
    const auto found = values_->find(name);
    return found == values_->end() || found->is_null() ? nullptr : &*found;
  }
  void complain(std::string what) {
    if (wrong_.empty())
      wrong_ = std::move(what);
  }

  const json* values_;
  std::string wrong_;
};

/// A failure of a part as a stage's: `kind` unless its code says better.
inline stage_failure because(const failure& why, fault kind) {
  if (why.code == "cancelled")
    return {fault::cancelled, "cancelled"};
  return {why.code == "out_of_memory" ? fault::out_of_memory : kind, why.message};
}

} // namespace troupe::engines
