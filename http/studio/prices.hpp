#pragma once

// What things cost: the public price list, and the quote of a generation.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <optional>

namespace troupe::http::studio {

struct cost_query {
  std::string model = "wan-t2v";
  std::optional<std::int64_t> frames, steps;
};
template <class V>
void describe(V& v, cost_query& x) {
  v.optional("model", x.model, "model id", {.length_min = 1, .length_max = 100});
  v.optional("frames", x.frames, "the model's default", {.min = 1, .max = 999});
  v.optional("steps", x.steps, "the model's default", {.min = 1, .max = 200});
}

/// All of the below, declared. `h` must outlive them.
std::vector<endpoint> price_endpoints(const head& h);

asio::awaitable<reply> pricing(const head& h);
asio::awaitable<reply> generation_cost(cost_query query);

} // namespace troupe::http::studio
