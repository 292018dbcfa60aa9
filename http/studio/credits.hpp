#pragma once

// What one has and what became of it: balance, history, subscription.

#include "actors/ledger/ledger_core.hpp"
#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <variant>

namespace troupe::http::studio {

struct history_query {
  std::int64_t limit = 50, offset = 0;
  std::int64_t before = 0; // the cursor: only what is older than this id
  std::string kind, since, until, format;
};
template <class V>
void describe(V& v, history_query& x) {
  v.optional("limit", x.limit, "how many", {.min = 1, .max = 1000});
  v.optional("before", x.before, "the cursor: next_before of the page before", {.min = 0});
  v.optional("offset", x.offset,
             "how many to leave out, next_offset with the cursor of a page that came short; a cursor is faster",
             {.min = 0, .max = 10'000});
  v.optional("kind", x.kind, "only these, divided by commas: hold, capture, release, grant, allowance, topup, …",
             {.length_max = 200});
  v.optional("since", x.since, "only from this day or moment on, UTC: 2026-11-01 or 2026-11-01T12:00:00Z",
             {.length_max = 30});
  v.optional("until", x.until, "only what is older than this day or moment", {.length_max = 30});
  v.optional("format", x.format, "csv, or json; a client may also say Accept: text/csv",
             {.one_of = {"", "json", "csv"}});
}

/// All of the below, declared. `h` must outlive them.
std::vector<endpoint> credit_endpoints(const head& h);

asio::awaitable<reply> credits(const head& h, const request& r);
asio::awaitable<reply> credits_history(const head& h, const request& r, history_query query);
/// Tier, period, allowance and limits: what /api/subscription says besides what was bought.
asio::awaitable<std::variant<json, problem>> tier_summary(const head& h, const request& r);

/// The wallet as it is durable, with the month's allowance in it.
asio::awaitable<std::variant<booked, problem>> wallet_of(const head& h, const identity& who);

} // namespace troupe::http::studio
