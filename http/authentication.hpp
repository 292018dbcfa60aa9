#pragma once

#include "common/result.hpp"
#include "http/message.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::http {

inline constexpr std::string_view session_cookie = "troupe_session";
/// The Set-Cookie that takes it away.
inline constexpr const char* no_session_cookie = "troupe_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0";

/// What a request presents. A header wins over a cookie, which then counts for nothing.
struct credentials {
  std::string key;        ///< of "Authorization: Bearer …"
  std::string session;    ///< of the session cookie
  bool malformed = false; ///< an Authorization header that is not a bearer token of ours
  bool any() const { return malformed || !key.empty() || !session.empty(); }
};

/// Tokens are 1–256 characters of [A-Za-z0-9._~+/=-]; anything else is malformed and reaches no storage.
credentials credentials_of(const request& r);

/// One cookie's value by its exact name; empty if there is none.
std::string_view cookie(const request& r, std::string_view name);

/// True unless a state-changing request comes with the session cookie (and no key) without a same-origin Origin.
/// `own_origins`, e.g. "https://studio.example.org", count as same besides the request's own host.
bool origin_allowed(const request& r, const std::vector<std::string>& own_origins);

/// Finds out who sends a request. Implemented on the storage; must not block the server's threads.
class authenticator {
public:
  virtual ~authenticator() = default;
  /// nullopt: nobody it knows (401). Errors: `forbidden` (403: known, but not let in), `unavailable` (503), anything
  /// else 500.
  virtual asio::awaitable<result<std::optional<identity>>> authenticate(const request& r) = 0;
};

} // namespace troupe::http
