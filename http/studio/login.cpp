#include "http/studio/login.hpp"

#include "common/random.hpp"
#include "http/authentication.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"
#include "http/studio/credits.hpp"
#include "http/studio/password.hpp"

namespace troupe::http::studio {

namespace {

constexpr std::size_t user_agent_max = 200;
// What browsers allow at most. The server's row says when a session ends, which its use puts off again and again.
constexpr long cookie_age_s = 400l * 24 * 3600;

problem bad_login() {
  problem out;
  out.status = 401;
  out.code = "unauthorized";
  out.message = "Wrong user name or password";
  return out;
}

/// The beginning of a header, printable ASCII only.
std::string plain(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, user_agent_max))
    out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

/// Opens a session and answers with its cookie. `verified`: what the password was checked against.
asio::awaitable<std::variant<std::string, problem>> start_session(const head& h, const request& r, std::string account,
                                                                  std::string verified) {
  auto token = random_hex(32);
  open_session open;
  open.account = std::move(account);
  open.token_hash = h.keys.hash(token);
  open.verified = std::move(verified);
  open.at = now_ms();
  open.expires_at = open.at + h.session_ms;
  open.user_agent = plain(r.header("user-agent"));
  open.who = asker_of(r);
  auto subject = open.account;
  auto opened = co_await h.actors.ask(std::move(open));
  if (!opened) {
    auto why = read_refusal(opened.error()).why;
    if (why == refusal::forbidden || why == refusal::not_found)
      co_return bad_login();
    co_return problem_of(opened.error());
  }
  tell_streams(h, subject); // the oldest session may have gone
  std::string cookie = std::string{session_cookie} + "=" + token +
                       "; Path=/; HttpOnly; SameSite=Lax; Max-Age=" + std::to_string(cookie_age_s);
  co_return cookie;
}

asio::awaitable<reply> signup(const head& h, const request& r, signup_body body) {
  auto username = canonical_username(body.username);
  if (!username)
    co_return invalid("username must have 3 to 32 characters: letters, digits, '.', '_' or '-'", "username");
  if (reserved_username(*username))
    co_return invalid("username: this name is reserved; choose another", "username");
  auto hash = co_await h.hashing.hash(std::move(body.password), r.remote_address);
  if (!hash)
    co_return unavailable("Too many people sign up at this moment; try again shortly");
  create_account create;
  create.account = make_ulid();
  create.username = *username;
  create.password_hash = std::move(*hash);
  create.at = now_ms();
  create.who = asker_of(r);
  auto account = create.account;
  auto made = co_await h.actors.ask(std::move(create), true);
  if (!made) {
    auto why = problem_of(made.error());
    if (why.status == 409)
      why.message = "That user name is taken";
    co_return why;
  }
  // The address is the account's once the mail is answered: so nobody takes another's, and nobody learns whose it is.
  if (!body.email.empty())
    co_await mail_confirmation(h, r, account, made->username, body.email);
  auto session = co_await start_session(h, r, account, {});
  if (auto why = std::get_if<problem>(&session))
    co_return *why;
  auto tier = catalog::tier_of(made->tier).value_or(catalog::tier::free);
  json answer = {{"success", true},
                 {"username", made->username},
                 {"tier", made->tier},
                 {"credit_balance", catalog::limits_of(h.tiers, tier).credits_per_month}};
  co_return reply::of(std::move(answer), 201).with("set-cookie", std::get<std::string>(session));
}

asio::awaitable<reply> login(const head& h, const request& r, login_body body) {
  // The same steps for a name that nobody has, so that it takes as long.
  auto account = find_account(h.database, body.username);
  read_credentials read;
  read.account = account.value_or(nobody);
  ::troupe::credentials known;
  auto answer = co_await h.actors.ask(std::move(read));
  if (answer)
    known = std::move(*answer);
  auto good = co_await h.hashing.verify(known.password_hash, std::move(body.password), r.remote_address);
  if (!good)
    co_return unavailable("Too many people log in at this moment; try again shortly");
  if (!*good || known.disabled) {
    co_await note_failure(h, r, account.value_or(""), "login_failed");
    co_return bad_login();
  }
  auto session = co_await start_session(h, r, *account, known.password_hash);
  if (auto why = std::get_if<problem>(&session))
    co_return *why;
  auto row = read_row(h.database, storage::table::accounts, *account).value_or(json::object());
  json said = {{"success", true},
               {"username", row.value("username", std::string{})},
               {"tier", row.value("tier", std::string{})},
               {"role", row.value("role", std::string{})}};
  co_return reply::of(std::move(said)).with("set-cookie", std::get<std::string>(session));
}

asio::awaitable<reply> logout(const head& h, const request& r) {
  if (!r.who->session.empty()) {
    close_session close;
    close.account = r.who->account;
    close.token_hash = r.who->session;
    close.at = now_ms();
    close.who = asker_of(r);
    auto closed = co_await h.actors.ask(std::move(close));
    if (!closed)
      co_return problem_of(closed.error());
    tell_streams(h, r.who->account);
  }
  json answer = {{"success", true}};
  co_return reply::of(std::move(answer)).with("set-cookie", no_session_cookie);
}

asio::awaitable<reply> auth_check(const head& h, const request& r) {
  auto wallet = co_await wallet_of(h, *r.who);
  if (auto why = std::get_if<problem>(&wallet))
    co_return *why;
  const auto& limits = catalog::limits_of(h.tiers, catalog::tier_of(r.who->tier).value_or(catalog::tier::free));
  auto row = read_row(h.database, storage::table::accounts, r.who->account).value_or(json::object());
  auto profile = row.value("profile", account::profile{});
  json answer = {{"authenticated", true},
                 {"account_id", r.who->account},
                 {"username", r.who->username},
                 {"tier", r.who->tier},
                 {"is_admin", r.who->admin},
                 {"theme", profile.theme},
                 {"via", r.who->key.empty() ? "session" : "key"},
                 {"credit_balance", whole_credits(std::get<booked>(wallet).balance)},
                 {"limits",
                  {{"max_frames", limits.frames_max},
                   {"max_resolution", limits.size.name},
                   {"monthly_credits", limits.credits_per_month},
                   {"watermark", limits.watermark},
                   {"max_prompt_length", 2000}}}};
  co_return reply::of(std::move(answer));
}

} // namespace

std::vector<endpoint> login_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare<signup_body>(
      {.method = verb::post,
       .path = "/api/signup",
       .operation = "signup",
       .summary = "Create an account and log in",
       .tags = {"Account"},
       .needs = access::anyone,
       .rate = rate_class::signup,
       .success = 201},
      [&h](const request& r, signup_body body, nothing) { return signup(h, r, std::move(body)); }));
  out.push_back(
      declare<login_body>({.method = verb::post,
                           .path = "/api/login",
                           .operation = "login",
                           .summary = "Log in: sets the session cookie",
                           .tags = {"Account"},
                           .needs = access::anyone,
                           .rate = rate_class::login},
                          [&h](const request& r, login_body body, nothing) { return login(h, r, std::move(body)); }));
  out.push_back(declare({.method = verb::post,
                         .path = "/api/logout",
                         .operation = "logout",
                         .summary = "Log out: ends the session and clears its cookie",
                         .tags = {"Account"},
                         .key_scope = scope::read},
                        [&h](const request& r, nothing, nothing) { return logout(h, r); }));
  out.push_back(declare({.path = "/api/auth/check",
                         .operation = "auth_check",
                         .summary = "Who one is: tier, credit balance, limits",
                         .tags = {"Account"}},
                        [&h](const request& r, nothing, nothing) { return auth_check(h, r); }));
  return out;
}

} // namespace troupe::http::studio
