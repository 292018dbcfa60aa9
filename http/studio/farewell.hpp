#pragma once

// What a European operator must offer: a copy of all that is kept about oneself, and being forgotten.

#include "http/bridge/blob_guard.hpp"
#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"
#include "http/payments/cashier.hpp"

namespace troupe::http::studio {

struct farewell_body {
  std::string password;
  bool cancel_jobs = false;
};
struct export_query {
  std::int64_t limit = 1000;
  std::int64_t credits_after = 0;
  std::string jobs_after, audit_after;
};
template <class V>
void describe(V& v, farewell_body& x) {
  v.required("password", x.password, "yours", {.length_min = 1, .length_max = 256});
  v.optional("cancel_jobs", x.cancel_jobs, "stop what still runs; otherwise it keeps the account from going");
}
template <class V>
void describe(V& v, export_query& x) {
  v.optional("limit", x.limit, "rows of each list", {.min = 1, .max = 1000});
  v.optional("credits_after", x.credits_after, "`next` of the list before", {.min = 0});
  v.optional("jobs_after", x.jobs_after, "`next` of the list before", {.length_max = 32});
  v.optional("audit_after", x.audit_after, "`next` of the list before", {.length_max = 64});
}

/// GET /api/account/export, POST /api/account/delete. All must outlive them.
std::vector<endpoint> farewell_endpoints(const head& h, blob_guard& guard, const payments::cashier& desk);

} // namespace troupe::http::studio
