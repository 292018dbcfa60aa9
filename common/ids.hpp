#pragma once

// Strong identifiers. Every id is its own type, so that passing an account where a job is wanted does not compile.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace troupe {

template <class Tag>
struct id {
  std::string value;
  bool empty() const { return value.empty(); }
  friend auto operator<=>(const id&, const id&) = default;
};

template <class Inspector, class Tag>
bool inspect(Inspector& f, id<Tag>& x) {
  return f.object(x).fields(f.field("value", x.value));
}

template <class Json, class Tag>
void to_json(Json& out, const id<Tag>& x) {
  out = x.value;
}
template <class Json, class Tag>
void from_json(const Json& in, id<Tag>& x) {
  x.value = in.template get<std::string>();
}

using account_id = id<struct account_tag>; // ULID, given at signup
using job_id = id<struct job_tag>;         // ULID, lower case: it is part of file names
using key_id = id<struct key_tag>;         // an API key's id, not the key
using node_id = id<struct node_tag>;       // the name an operator gave, e.g. "local"
using device_id = id<struct device_tag>;   // node/device, e.g. "local/cpu0"

} // namespace troupe

template <class Tag>
struct std::hash<troupe::id<Tag>> {
  std::size_t operator()(const troupe::id<Tag>& x) const noexcept { return std::hash<std::string>{}(x.value); }
};
