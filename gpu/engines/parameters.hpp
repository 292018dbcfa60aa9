#pragma once

// How an engine reads its parameters: the head has validated them, but what could hurt is checked where it would.

#include "gpu/engines/engine.hpp"

#include <cmath>
#include <initializer_list>
#include <optional>

namespace troupe::engines {

/// Reads parameters one by one; the first wrong one is kept as the failure to end the stage with.
class parameter_reader {
public:
  explicit parameter_reader(const json& params) : params_(params) {}

  std::int64_t integer(const char* name, std::int64_t otherwise, std::int64_t min, std::int64_t max) {
    const json* value = find(name);
    if (value == nullptr)
      return otherwise;
    const double real = value->is_number() ? value->get<double>() : std::nan("");
    if (real != std::floor(real) || !(real >= static_cast<double>(min) && real <= static_cast<double>(max)))
      return wrong(name, "a whole number between " + std::to_string(min) + " and " + std::to_string(max)), otherwise;
    return static_cast<std::int64_t>(real);
  }

  double number(const char* name, double otherwise, double min, double max) {
    const json* value = find(name);
    if (value == nullptr)
      return otherwise;
    const double real = value->is_number() ? value->get<double>() : std::nan("");
    if (!(real >= min && real <= max))
      return wrong(name, "a number between " + std::to_string(min) + " and " + std::to_string(max)), otherwise;
    return real;
  }

  /// At most `bytes_max` bytes.
  std::string text(const char* name, const std::string& otherwise, std::size_t bytes_max) {
    const json* value = find(name);
    if (value == nullptr)
      return otherwise;
    if (!value->is_string() || value->get_ref<const std::string&>().size() > bytes_max)
      return wrong(name, "a text of at most " + std::to_string(bytes_max) + " bytes"), otherwise;
    return value->get<std::string>();
  }

  bool flag(const char* name, bool otherwise) {
    const json* value = find(name);
    if (value == nullptr)
      return otherwise;
    if (!value->is_boolean())
      return wrong(name, "true or false"), otherwise;
    return value->get<bool>();
  }

  /// The first choice is the default.
  std::string choice(const char* name, std::initializer_list<const char*> choices) {
    const std::string chosen = text(name, *choices.begin(), 64);
    std::string all;
    for (const char* one : choices) {
      if (chosen == one)
        return chosen;
      all += (all.empty() ? "" : ", ") + std::string(one);
    }
    return wrong(name, "one of " + all), *choices.begin();
  }

  /// Ends the stage as bad input unless something was wrong before.
  void wrong(const std::string& name, const std::string& expected) {
    if (!failure_)
      failure_ = stage_failure(fault::bad_input, "`" + name + "` must be " + expected);
  }

  const std::optional<stage_failure>& failure() const { return failure_; }

private:
  const json* find(const char* name) const {
    if (!params_.is_object())
      return nullptr;
    const auto at = params_.find(name);
    return at == params_.end() || at->is_null() ? nullptr : &*at;
  }

  const json& params_;
  std::optional<stage_failure> failure_;
};

/// What a failed call of a library means for the stage.
inline stage_failure to_stage_failure(const failure& why) {
  const fault kind = why.code == "cancelled"       ? fault::cancelled
                     : why.code == "media"         ? fault::bad_input
                     : why.code == "out_of_memory" ? fault::out_of_memory
                                                   : fault::unknown;
  return {kind, why.message};
}

/// The inputs of a port, in order.
inline std::vector<const input_file*> inputs_of(const stage_request& request, const std::string& port) {
  std::vector<const input_file*> found;
  for (const auto& input : request.inputs)
    if (input.port == port)
      found.push_back(&input);
  return found;
}

} // namespace troupe::engines
