#pragma once

// API keys.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <optional>

namespace troupe::http::studio {

inline const std::vector<std::string> key_scopes{"read", "generate", "account", "admin"};

struct key_body {
  std::string name = "API key";
  std::string family = "studio";
  std::vector<std::string> scopes;
  std::optional<std::int64_t> expires_in_s, rate_limit_per_minute;
  std::optional<double> spend_limit;
};
/// What is not there stays as it is; 0 takes a limit away.
struct key_change {
  std::optional<std::string> name;
  std::optional<bool> is_active;
  std::optional<std::vector<std::string>> scopes;
  std::optional<std::int64_t> expires_in_s, rate_limit_per_minute;
  std::optional<double> spend_limit;
};
template <class V>
void describe(V& v, key_body& x) {
  v.optional("name", x.name, "what the key is for", {.length_min = 1, .length_max = 100});
  v.optional("family", x.family, "which API's prefix it has; any key works on all of them",
             {.one_of = {"studio", "unified", "platform", "openai"}});
  v.optional("scopes", x.scopes, "what it may do; none: all that you may", {.one_of = key_scopes, .items_max = 4});
  v.optional("expires_in_s", x.expires_in_s, "seconds until it ends by itself", {.min = 1, .max = 315'360'000});
  v.optional("rate_limit_per_minute", x.rate_limit_per_minute, "requests in a minute", {.min = 1, .max = 1'000'000});
  v.optional("spend_limit", x.spend_limit, "credits it may spend in all", {.min = 0.000001, .max = 1e9});
}
template <class V>
void describe(V& v, key_change& x) {
  v.optional("name", x.name, "what the key is for", {.length_min = 1, .length_max = 100});
  v.optional("is_active", x.is_active, "false: it opens nothing until it is true again");
  v.optional("scopes", x.scopes, "what it may do; none: all that you may", {.one_of = key_scopes, .items_max = 4});
  v.optional("expires_in_s", x.expires_in_s, "seconds until it ends, from now; 0: never",
             {.min = 0, .max = 315'360'000});
  v.optional("rate_limit_per_minute", x.rate_limit_per_minute, "requests in a minute; 0: the server's limit",
             {.min = 0, .max = 1'000'000});
  v.optional("spend_limit", x.spend_limit, "credits it may spend in all; 0: no limit", {.min = 0, .max = 1e9});
}

/// GET and POST /api/keys, PATCH and DELETE /api/keys/{id}. `h` must outlive them.
std::vector<endpoint> key_endpoints(const head& h);

} // namespace troupe::http::studio
