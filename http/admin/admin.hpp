#pragma once

// For admins: live actors and accounts.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <optional>

namespace troupe::http::admin {

struct actors_query {
  std::string kind, after;
  std::int64_t limit = 100;
};
struct actor_query {
  std::int64_t events = 20;
  std::int64_t before = 0; // only events older than this sequence number
};
struct account_body {
  std::optional<std::string> tier, role, reason, reference;
  std::optional<std::int64_t> grant_credits;
  std::optional<bool> disabled;
};
struct refund_body {
  std::int64_t credits = 0;
  std::string reason, reference, job_id;
};
template <class V>
void describe(V& v, refund_body& x) {
  v.required("credits", x.credits, "whole credits to give back", {.min = 1, .max = 1'000'000});
  v.required("reason", x.reason, "kept in the ledger, and shown to the account",
             {.length_max = 500, .form = form::not_blank});
  v.required("reference", x.reference, "names this refund: with the same one it is made once",
             {.length_max = 100, .form = form::not_blank});
  v.optional("job_id", x.job_id, "the job that it is for", {.length_max = 64});
}
template <class V>
void describe(V& v, actors_query& x) {
  v.optional("kind", x.kind, "account, ledger, job, scheduler, device, cluster, directory", {.length_max = 32});
  v.optional("after", x.after, "kind/id of the last one of the page before", {.length_max = 200});
  v.optional("limit", x.limit, "how many", {.min = 1, .max = 1000});
}
template <class V>
void describe(V& v, actor_query& x) {
  v.optional("events", x.events, "how many of its last events", {.min = 0, .max = 500});
  v.optional("before", x.before, "only events older than this", {.min = 0});
}
template <class V>
void describe(V& v, account_body& x) {
  v.optional("tier", x.tier, "its tier from now on",
             {.one_of = {"free", "starter", "creator", "pro", "studio", "enterprise"}});
  v.optional("grant_credits", x.grant_credits, "whole credits to give", {.min = 1, .max = 10'000'000});
  v.optional("reference", x.reference, "names this grant: with the same one it is made once",
             {.length_max = 100, .form = form::not_blank});
  v.optional("reason", x.reason, "kept in the ledger and the account's events", {.length_max = 500});
  v.optional("role", x.role, "its role from now on", {.one_of = {"user", "admin"}});
  v.optional("disabled", x.disabled, "true: it can do nothing any more");
}

/// All admin endpoints, declared. `h` must outlive them.
std::vector<endpoint> endpoints(const head& h);

} // namespace troupe::http::admin
