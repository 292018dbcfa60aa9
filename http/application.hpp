#pragma once

// The way of a request from the server to its endpoint: route, origin, limits, identity, permission, then the handler.

#include "http/authentication.hpp"
#include "http/endpoint.hpp"
#include "http/idempotency.hpp"
#include "http/metrics.hpp"
#include "http/rate_limit.hpp"
#include "http/router.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe::http {

struct application_options {
  rate_limits limits;
  /// Browsers elsewhere may call with a key (never with the cookie): Access-Control-Allow-Origin: *.
  bool cross_origin = true;
  /// Origins that are the server's own besides the Host of the request, e.g. "https://studio.example.org".
  std::vector<std::string> own_origins;
  /// Cookies are for TLS only, whatever a request says: browsers reach the server by https.
  bool secure_cookies = false;
  /// Where first answers are kept for Idempotency-Key; must outlive the application. Null: such a header is refused.
  answer_book* answers = nullptr;
};

/// Owns the endpoints. Thread-safe once made. It must outlive the server that it is the handler of.
class application {
public:
  /// `who` and `counts` must outlive it. Errors: `bad_declaration`, see router.
  static result<std::unique_ptr<application>> make(std::vector<endpoint> all, authenticator& who,
                                                   application_options options);

  /// The server's handler: `server::start(options, [&](request&& r) { return app.answer(std::move(r)); })`.
  asio::awaitable<reply> answer(request r);

  const std::vector<endpoint>& endpoints() const { return endpoints_; }
  rate_limiter& limiter() { return limiter_; }
  /// Requests by operation and status, for metrics::add_source.
  void write_metrics(metrics_text& out) const { counts_.write(out); }

private:
  application(std::vector<endpoint> all, authenticator& who, application_options options);
  asio::awaitable<reply> route(request& r, std::string& operation);
  asio::awaitable<reply> serve(request& r, const endpoint& e);
  asio::awaitable<reply> serve_once(request& r, const endpoint& e, std::string key);
  asio::awaitable<reply> serve_within_limits(request& r, const endpoint& e);
  asio::awaitable<std::optional<problem>> identify(request& r, const endpoint& e);

  std::vector<endpoint> endpoints_;
  authenticator& authenticator_;
  application_options options_;
  std::optional<router> router_;
  rate_limiter limiter_;
  keys_at_work at_work_;
  request_metrics counts_;
};

} // namespace troupe::http
