#pragma once

// Passwords and e-mail addresses: what opens an account when all else is lost.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <variant>

namespace troupe::http::studio {

struct password_body {
  std::string current_password, new_password;
};
struct reset_request_body {
  std::string username;
};
struct reset_body {
  std::string token, new_password;
};
struct email_body {
  std::string email;
};
struct token_body {
  std::string token;
};
template <class V>
void describe(V& v, password_body& x) {
  v.required("current_password", x.current_password, "the one in force", {.length_min = 1, .length_max = 256});
  v.required("new_password", x.new_password, "at least 8 characters", {.length_min = 8, .length_max = 256});
}
template <class V>
void describe(V& v, reset_request_body& x) {
  v.required("username", x.username, "user name or e-mail address", {.length_min = 1, .length_max = 254});
}
template <class V>
void describe(V& v, reset_body& x) {
  v.required("token", x.token, "from the mail", {.length_min = 1, .length_max = 256});
  v.required("new_password", x.new_password, "at least 8 characters", {.length_min = 8, .length_max = 256});
}
template <class V>
void describe(V& v, email_body& x) {
  v.required("email", x.email, "the new address; it counts once the mail that goes there is answered",
             {.length_max = 254, .form = form::email});
}
template <class V>
void describe(V& v, token_body& x) {
  v.required("token", x.token, "from the mail", {.length_min = 1, .length_max = 256});
}

/// Whose mailbox takes what is about nobody.
inline constexpr const char* nobody = "nobody";

/// POST /api/settings/change-password, /api/password-reset/request, /api/password-reset/reset, /api/settings/email,
/// /api/settings/email/confirm. `h` must outlive them.
std::vector<endpoint> password_endpoints(const head& h);

/// Checks the password of who asks: the encoded hash that it matched, or why not (403, 503).
asio::awaitable<std::variant<std::string, problem>> check_password(const head& h, const request& r,
                                                                   std::string password);

/// Writes an event of that kind about the account (empty: nobody known) into the audit log.
asio::awaitable<void> note_failure(const head& h, const request& r, std::string account, std::string kind);

/// Mails a token to a new address, unless enough are on their way.
asio::awaitable<std::optional<problem>> mail_confirmation(const head& h, const request& r, std::string account,
                                                          std::string username, std::string email);

} // namespace troupe::http::studio
