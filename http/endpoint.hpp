#pragma once

// One declaration per endpoint. Routing, parsing, permission, the rate class and the OpenAPI document are all made from
// it. docs/adding-an-endpoint.md shows one whole.

#include "http/fields.hpp"
#include "http/message.hpp"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::http {

/// Who may call it. Not logged in: 401; `admin` without the role: 403.
enum class access { anyone, account, admin };

/// Which limit its requests count against, besides the one per address. `spend` and `payment` (they make calls of the
/// payment provider) per account, `login` and `signup` per address. Endpoints of the families other than studio also
/// count per key.
enum class rate_class { none, read, spend, login, signup, payment };

/// What an API key with scopes must have to call it. `by_method`: `admin` for admins' endpoints, else `read` to GET and
/// `generate` for the rest. `account`: what changes who may do what (keys, password, money, deletion), or tells of it.
enum class scope { by_method, read, generate, account, admin };

/// No body, or no query.
struct nothing {};
template <class V>
void describe(V&, nothing&) {}

/// The body is not JSON: the handler reads request::body and its content-type itself.
struct raw_body {};
template <class V>
void describe(V&, raw_body&) {}

/// The answer's schema is not described.
struct undescribed {};
template <class V>
void describe(V&, undescribed&) {}

/// What is said about an endpoint.
struct declaration {
  verb method = verb::get;
  std::string path;      ///< "/api/keys/{id}": a segment; "{model*}" at the end: the rest of the path
  std::string operation; ///< OpenAPI's operationId, the metrics' label, the log's field; snake_case and unique
  std::string summary;   ///< one line
  std::string description = {};
  std::vector<std::string> tags = {};
  http::family family = http::family::studio; ///< its error shape in the document; two families may share a path
  access needs = access::account;
  rate_class rate = rate_class::read;
  int success = 200;
  std::string produces = "application/json";
  http::scope key_scope = http::scope::by_method;
};

/// "read", "generate", "account" or "admin".
std::string_view scope_of(const declaration& about);

struct endpoint : declaration {
  bool has_body = false;
  bool raw = false;
  json body_schema, query_schema, reply_schema; ///< reply_schema null: not described
  /// Parses, answers what is wrong with it, or asks the handler.
  std::function<asio::awaitable<reply>(const request&)> serve;
};

/// The faults as one problem: the first one's message, and all of them in `errors` when there are several.
problem problem_of(const std::vector<fault>& faults);

/// Reads the request's body, a JSON object. Wrong: 415 for another content type, 400 with the position for broken JSON.
std::optional<problem> read_json(const request& r, json& out);

template <class Body>
std::optional<problem> read_body(const request& r, Body& body) {
  if constexpr (std::is_same_v<Body, nothing> || std::is_same_v<Body, raw_body>) {
    return std::nullopt;
  } else {
    json in;
    if (auto wrong = read_json(r, in))
      return wrong;
    value_reader values;
    body_reader v{values, in, {}};
    describe(v, body);
    return values.faults().empty() ? std::nullopt : std::optional{problem_of(values.faults())};
  }
}

template <class Query>
std::optional<problem> read_query(const request& r, Query& query) {
  value_reader values;
  query_reader v{values, r.query};
  describe(v, query);
  return values.faults().empty() ? std::nullopt : std::optional{problem_of(values.faults())};
}

/// Makes an endpoint. `handler` is called as handler(const request&, Body, Query) and returns asio::awaitable<reply>;
/// it is kept as long as the endpoint, so a coroutine lambda may use its captures. Body and Query are `nothing` where
/// there is none; Reply is only for the document.
template <class Body = nothing, class Query = nothing, class Reply = undescribed, class Handler>
endpoint declare(declaration about, Handler handler) {
  endpoint out{std::move(about), !std::is_same_v<Body, nothing>, std::is_same_v<Body, raw_body>, {}, {}, {}, {}};
  out.body_schema = schema(Body{}, {});
  out.query_schema = schema(Query{}, {});
  if constexpr (!std::is_same_v<Reply, undescribed>)
    out.reply_schema = schema(Reply{}, {});
  out.serve = [handler = std::move(handler)](const request& r) -> asio::awaitable<reply> {
    Query query{};
    if (auto wrong = read_query(r, query))
      co_return reply{std::move(*wrong)};
    Body body{};
    if (auto wrong = read_body(r, body))
      co_return reply{std::move(*wrong)};
    auto answer = handler(r, std::move(body), std::move(query));
    co_return co_await std::move(answer);
  };
  return out;
}

/// One row per endpoint, for the contract test and `troupe admin`.
struct endpoint_row {
  std::string family, method, path, operation, access;
};
std::vector<endpoint_row> endpoint_table(const std::vector<endpoint>& all);

} // namespace troupe::http
