#pragma once

// Who one is: signing up and in, API keys, credits.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <variant>

namespace troupe::http::studio {

struct signup_body {
  std::string username, password, email;
};
struct login_body {
  std::string username, password;
};
struct key_body {
  std::string name = "API key";
  std::string family = "studio";
};
struct history_query {
  std::int64_t limit = 50;
  std::int64_t before = 0; // only what is older than this id
};

template <class V>
void describe(V& v, signup_body& x) {
  v.required("username", x.username, "3 to 32 letters, digits, '.', '_' or '-'; case does not count",
             {.length_min = 3, .length_max = 32});
  v.required("password", x.password, "at least 8 characters", {.length_min = 8, .length_max = 256});
  v.optional("email", x.email, "for password resets", {.length_max = 254, .form = form::email});
}
template <class V>
void describe(V& v, login_body& x) {
  v.required("username", x.username, "as at signup", {.length_min = 1, .length_max = 64});
  v.required("password", x.password, "as at signup", {.length_min = 1, .length_max = 256});
}
template <class V>
void describe(V& v, key_body& x) {
  v.optional("name", x.name, "what the key is for", {.length_min = 1, .length_max = 100});
  v.optional("family", x.family, "which API's prefix it has; any key works on all of them",
             {.one_of = {"studio", "unified", "platform", "openai"}});
}
template <class V>
void describe(V& v, history_query& x) {
  v.optional("limit", x.limit, "how many", {.min = 1, .max = 200});
  v.optional("before", x.before, "only what is older than this id", {.min = 0});
}

/// All of the below, declared. `h` must outlive them.
std::vector<endpoint> account_endpoints(const head& h);

asio::awaitable<reply> signup(const head& h, signup_body body);
asio::awaitable<reply> login(const head& h, login_body body);
asio::awaitable<reply> logout(const head& h, const request& r);
asio::awaitable<reply> auth_check(const head& h, const request& r);
asio::awaitable<reply> credits(const head& h, const request& r);
asio::awaitable<reply> credits_history(const head& h, const request& r, history_query query);
asio::awaitable<reply> list_keys(const head& h, const request& r);
asio::awaitable<reply> make_key(const head& h, const request& r, key_body body);
asio::awaitable<reply> end_key(const head& h, const request& r);

/// The wallet as it is durable, with the month's allowance in it.
asio::awaitable<std::variant<booked, problem>> wallet_of(const head& h, const identity& who);

} // namespace troupe::http::studio
