#pragma once

// Events as the journal keeps them: a variant of structs, each with `static constexpr const char* type` and a JSON form
// (NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT, so that a field can be added without a migration). One that is
// written often has `packed_map packed_fields(const E&)` too, with the same fields.

#include "common/packed.hpp"

#include <optional>
#include <variant>

namespace troupe {

template <class Event>
json event_to_json(const Event& happened) {
  return std::visit(
      [](const auto& e) {
        json out = e;
        out["t"] = std::decay_t<decltype(e)>::type;
        return out;
      },
      happened);
}

namespace detail {

template <class Event, std::size_t I = 0>
std::optional<Event> event_of_type(const std::string& type, const json& value) {
  if constexpr (I == std::variant_size_v<Event>) {
    return std::nullopt;
  } else {
    using candidate = std::variant_alternative_t<I, Event>;
    if (type == candidate::type)
      return Event{value.get<candidate>()};
    return event_of_type<Event, I + 1>(type, value);
  }
}

} // namespace detail

template <class Event>
std::string pack_event(const Event& happened) {
  return std::visit(
      [&](const auto& e) {
        if constexpr (requires { packed_fields(e); })
          return packed_fields(e).add("t", std::decay_t<decltype(e)>::type).record();
        else
          return pack(event_to_json(happened));
      },
      happened);
}

/// Errors: `corrupt`, `newer`, `unknown_event`.
template <class Event>
result<Event> unpack_event(std::string_view bytes) {
  auto value = unpack(bytes);
  if (!value)
    return value.error();
  try {
    auto type = value->value("t", std::string{});
    if (auto happened = detail::event_of_type<Event>(type, *value))
      return *happened;
    return fail("unknown_event", "an event of type '" + type + "' that this version does not know");
  } catch (const json::exception& e) {
    return fail("corrupt", std::string{"an event that does not parse: "} + e.what());
  }
}

} // namespace troupe
