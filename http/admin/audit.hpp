#pragma once

// The audit log, for admins.

#include "actors/account/audit.hpp"
#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

namespace troupe::http::admin {

struct audit_query {
  std::string account, kind, from, to, cursor;
  std::int64_t limit = 100;
};
template <class V>
void describe(V& v, audit_query& x) {
  v.optional("account", x.account, "a user name or an account's id: what it did, and what was done to it",
             {.length_max = 64});
  v.optional("kind", x.kind, "only events of that kind", {.one_of = audit_kinds()});
  v.optional("from", x.from, "not before, as 2026-03-30T12:00:00Z or 2026-03-30", {.length_max = 32});
  v.optional("to", x.to, "only before", {.length_max = 32});
  v.optional("cursor", x.cursor, "`next_cursor` of the page before", {.length_max = 64});
  v.optional("limit", x.limit, "how many", {.min = 1, .max = 1000});
}

/// GET /api/admin/audit. `h` must outlive it.
std::vector<endpoint> audit_endpoints(const head& h);

} // namespace troupe::http::admin
