#pragma once

// Signing up, in and out; who one is.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

namespace troupe::http::studio {

struct signup_body {
  std::string username, password, email;
};
struct login_body {
  std::string username, password;
};
template <class V>
void describe(V& v, signup_body& x) {
  v.required("username", x.username, "3 to 32 letters, digits, '.', '_' or '-'; case does not count",
             {.length_min = 3, .length_max = 32});
  v.required("password", x.password, "at least 8 characters", {.length_min = 8, .length_max = 256});
  v.optional("email", x.email, "for password resets, once the mail that goes there is answered",
             {.length_max = 254, .form = form::email});
}
template <class V>
void describe(V& v, login_body& x) {
  v.required("username", x.username, "as at signup", {.length_min = 1, .length_max = 64});
  v.required("password", x.password, "as at signup", {.length_min = 1, .length_max = 256});
}

/// POST /api/signup, /api/login, /api/logout, GET /api/auth/check. `h` must outlive them.
std::vector<endpoint> login_endpoints(const head& h);

} // namespace troupe::http::studio
