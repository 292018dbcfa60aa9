#pragma once

// What one has: credits, and where they went.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <variant>

namespace troupe::http::studio {

struct history_query {
  std::int64_t limit = 50;
  std::int64_t before = 0; // only what is older than this id
};

template <class V>
void describe(V& v, history_query& x) {
  v.optional("limit", x.limit, "how many", {.min = 1, .max = 200});
  v.optional("before", x.before, "only what is older than this id", {.min = 0});
}

/// All of the below, declared. `h` must outlive them.
std::vector<endpoint> credit_endpoints(const head& h);

asio::awaitable<reply> credits(const head& h, const request& r);
asio::awaitable<reply> credits_history(const head& h, const request& r, history_query query);

/// The wallet as it is durable, with the month's allowance in it.
asio::awaitable<std::variant<booked, problem>> wallet_of(const head& h, const identity& who);

} // namespace troupe::http::studio
