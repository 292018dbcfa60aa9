#include "http/studio/accounts.hpp"

#include "common/random.hpp"
#include "http/authentication.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

namespace troupe::http::studio {

namespace {

problem bad_login() {
  problem out;
  out.status = 401;
  out.code = "unauthorized";
  out.message = "Wrong user name or password";
  return out;
}

/// Opens a session and answers with its cookie.
asio::awaitable<std::variant<std::string, problem>> start_session(const head& h, std::string account) {
  auto token = random_hex(32);
  open_session open;
  open.account = std::move(account);
  open.token_hash = h.keys.hash(token);
  open.at = now_ms();
  open.expires_at = open.at + h.session_ms;
  auto opened = co_await h.actors.ask(std::move(open));
  if (!opened)
    co_return problem_of(opened.error());
  std::string cookie = std::string{session_cookie} + "=" + token +
                       "; Path=/; HttpOnly; SameSite=Lax; Max-Age=" + std::to_string(h.session_ms / 1000);
  co_return cookie;
}

} // namespace

asio::awaitable<reply> signup(const head& h, signup_body body) {
  auto username = canonical_username(body.username);
  if (!username)
    co_return invalid("username must have 3 to 32 characters: letters, digits, '.', '_' or '-'", "username");
  auto hash = co_await h.hashing.hash(std::move(body.password));
  if (!hash)
    co_return unavailable("Too many people sign up at this moment; try again shortly");
  create_account create;
  create.account = make_ulid();
  create.username = *username;
  create.email = std::move(body.email);
  create.password_hash = std::move(*hash);
  create.at = now_ms();
  auto account = create.account;
  auto made = co_await h.actors.ask(std::move(create), true);
  if (!made) {
    auto why = problem_of(made.error());
    if (why.status == 409)
      why.message = "That user name or address is taken";
    co_return why;
  }
  auto session = co_await start_session(h, account);
  if (auto why = std::get_if<problem>(&session))
    co_return *why;
  auto tier = catalog::tier_of(made->tier).value_or(catalog::tier::free);
  json answer = {{"success", true},
                 {"username", made->username},
                 {"tier", made->tier},
                 {"credit_balance", catalog::limits_of(h.tiers, tier).credits_per_month}};
  co_return reply::of(std::move(answer), 201).with("set-cookie", std::get<std::string>(session));
}

asio::awaitable<reply> login(const head& h, login_body body) {
  auto account = find_account(h.database, body.username);
  ::troupe::credentials known;
  if (account) {
    read_credentials read;
    read.account = *account;
    auto answer = co_await h.actors.ask(std::move(read));
    if (answer)
      known = std::move(*answer);
  }
  auto good = co_await h.hashing.verify(known.password_hash, std::move(body.password));
  if (!good)
    co_return unavailable("Too many people log in at this moment; try again shortly");
  if (!*good || known.disabled)
    co_return bad_login();
  auto session = co_await start_session(h, *account);
  if (auto why = std::get_if<problem>(&session))
    co_return *why;
  auto row = read_row(h.database, storage::table::accounts, *account).value_or(json::object());
  json answer = {{"success", true},
                 {"username", row.value("username", std::string{})},
                 {"tier", row.value("tier", std::string{})},
                 {"role", row.value("role", std::string{})}};
  co_return reply::of(std::move(answer)).with("set-cookie", std::get<std::string>(session));
}

asio::awaitable<reply> logout(const head& h, const request& r) {
  if (!r.who->session.empty()) {
    close_session close;
    close.account = r.who->account;
    close.token_hash = r.who->session;
    close.at = now_ms();
    auto closed = co_await h.actors.ask(std::move(close));
    if (!closed)
      co_return problem_of(closed.error());
  }
  json answer = {{"success", true}};
  co_return reply::of(std::move(answer))
      .with("set-cookie", std::string{session_cookie} + "=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
}

asio::awaitable<std::variant<booked, problem>> wallet_of(const head& h, const identity& who) {
  // Reading the wallet gives the month's allowance when it is due, so nobody waits for a night job.
  book request;
  request.account = who.account;
  request.at = now_ms();
  request.movements.push_back(allowance_of(h, who.tier, request.at));
  auto answer = co_await h.actors.ask(std::move(request));
  if (!answer)
    co_return problem_of(answer.error());
  co_return std::move(*answer);
}

asio::awaitable<reply> auth_check(const head& h, const request& r) {
  auto wallet = co_await wallet_of(h, *r.who);
  if (auto why = std::get_if<problem>(&wallet))
    co_return *why;
  const auto& limits = catalog::limits_of(h.tiers, catalog::tier_of(r.who->tier).value_or(catalog::tier::free));
  json answer = {{"authenticated", true},
                 {"account_id", r.who->account},
                 {"username", r.who->username},
                 {"tier", r.who->tier},
                 {"is_admin", r.who->admin},
                 {"credit_balance", whole_credits(std::get<booked>(wallet).balance)},
                 {"limits",
                  {{"max_frames", limits.frames_max},
                   {"max_resolution", limits.size.name},
                   {"monthly_credits", limits.credits_per_month},
                   {"watermark", limits.watermark},
                   {"max_prompt_length", 2000}}}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> credits(const head& h, const request& r) {
  auto wallet = co_await wallet_of(h, *r.who);
  if (auto why = std::get_if<problem>(&wallet))
    co_return *why;
  const auto& now = std::get<booked>(wallet);
  const auto& limits = catalog::limits_of(h.tiers, catalog::tier_of(r.who->tier).value_or(catalog::tier::free));
  json answer = {{"credit_balance", whole_credits(now.balance)},
                 {"credits_held", whole_credits(now.held)},
                 {"balance_micro_credits", now.balance},
                 {"held_micro_credits", now.held},
                 {"tier", r.who->tier},
                 {"monthly_allowance", limits.credits_per_month}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> credits_history(const head& h, const request& r, history_query query) {
  auto events = h.database.journal().events("ledger/" + r.who->account,
                                            query.before == 0 ? 0 : static_cast<std::uint64_t>(query.before - 1),
                                            static_cast<std::size_t>(query.limit), true);
  if (!events)
    co_return unavailable("The history cannot be read now");
  json rows = json::array();
  std::uint64_t last = 0;
  for (const auto& [seq, bytes] : *events) {
    auto event = unpack(bytes);
    last = seq;
    if (!event)
      continue;
    auto kind = event->value("kind", std::string{});
    auto amount = event->value("amount", micro_credits{0});
    // What the wallet saw: a hold takes, a release gives back, a capture only ends what was held.
    auto wallet = kind == "hold" ? -amount : kind == "capture" ? 0 : amount;
    rows.push_back({{"id", seq},
                    {"type", kind},
                    {"credits", static_cast<double>(amount) / micro_per_credit},
                    {"amount", static_cast<double>(wallet) / micro_per_credit},
                    {"amount_micro_credits", wallet},
                    {"job_id", event->value("job", std::string{})},
                    {"description", event->value("note", std::string{})},
                    {"created_at", studio_time(event->value("at", timestamp{0}))}});
  }
  json answer = {{"transactions", std::move(rows)}, {"next_before", last > 1 ? json(last) : json()}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> list_keys(const head& h, const request& r) {
  describe_account ask;
  ask.account = r.who->account;
  auto account = co_await h.actors.ask(std::move(ask));
  if (!account)
    co_return problem_of(account.error());
  json rows = json::array();
  for (const auto& key : account->keys)
    rows.push_back({{"id", key.id},
                    {"prefix", key.prefix},
                    {"last4", key.last4},
                    {"name", key.name},
                    {"family", key.family},
                    {"created_at", studio_time(key.created_at)},
                    {"last_used", key.last_used == 0 ? json() : json(studio_time(key.last_used))},
                    {"is_active", key.is_active}});
  json answer = {{"keys", std::move(rows)}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> make_key(const head& h, const request& r, key_body body) {
  static const std::map<std::string, std::string> prefixes{
      {"studio", "pk_"}, {"unified", "sp_live_"}, {"platform", "sk_live_"}, {"openai", "sk_live_"}};
  auto key = prefixes.at(body.family) + random_hex(24);
  create_key create;
  create.account = r.who->account;
  create.key = make_ulid();
  create.name = std::move(body.name);
  create.family = std::move(body.family);
  create.prefix = key.substr(0, prefixes.at(create.family).size() + 6);
  create.last4 = key.substr(key.size() - 4);
  create.key_hash = h.keys.hash(key);
  create.at = now_ms();
  auto made = co_await h.actors.ask(std::move(create));
  if (!made)
    co_return problem_of(made.error());
  json answer = {{"id", made->id},         {"key", key},
                 {"name", made->name},     {"prefix", made->prefix},
                 {"family", made->family}, {"created_at", studio_time(made->created_at)},
                 {"is_active", true}};
  co_return reply::of(std::move(answer), 201);
}

asio::awaitable<reply> end_key(const head& h, const request& r) {
  revoke_key revoke;
  revoke.account = r.who->account;
  revoke.key = r.param("id");
  revoke.at = now_ms();
  auto ended = co_await h.actors.ask(std::move(revoke));
  if (!ended)
    co_return problem_of(ended.error());
  json answer = {{"success", true}, {"id", ended->id}, {"is_active", false}};
  co_return reply::of(std::move(answer));
}

std::vector<endpoint> account_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(
      declare<signup_body>({.method = verb::post,
                            .path = "/api/signup",
                            .operation = "signup",
                            .summary = "Create an account and log in",
                            .tags = {"Account"},
                            .needs = access::anyone,
                            .rate = rate_class::signup,
                            .success = 201},
                           [&h](const request&, signup_body body, nothing) { return signup(h, std::move(body)); }));
  out.push_back(
      declare<login_body>({.method = verb::post,
                           .path = "/api/login",
                           .operation = "login",
                           .summary = "Log in: sets the session cookie",
                           .tags = {"Account"},
                           .needs = access::anyone,
                           .rate = rate_class::login},
                          [&h](const request&, login_body body, nothing) { return login(h, std::move(body)); }));
  out.push_back(declare({.method = verb::post,
                         .path = "/api/logout",
                         .operation = "logout",
                         .summary = "Log out: ends the session and clears its cookie",
                         .tags = {"Account"}},
                        [&h](const request& r, nothing, nothing) { return logout(h, r); }));
  out.push_back(declare({.path = "/api/auth/check",
                         .operation = "auth_check",
                         .summary = "Who one is: tier, credit balance, limits",
                         .tags = {"Account"}},
                        [&h](const request& r, nothing, nothing) { return auth_check(h, r); }));
  out.push_back(
      declare({.path = "/api/keys", .operation = "key_list", .summary = "List your API keys", .tags = {"Keys"}},
              [&h](const request& r, nothing, nothing) { return list_keys(h, r); }));
  out.push_back(
      declare<key_body>({.method = verb::post,
                         .path = "/api/keys",
                         .operation = "key_create",
                         .summary = "Create an API key; the full key is shown this once",
                         .tags = {"Keys"},
                         .success = 201},
                        [&h](const request& r, key_body body, nothing) { return make_key(h, r, std::move(body)); }));
  out.push_back(declare({.method = verb::del,
                         .path = "/api/keys/{id}",
                         .operation = "key_revoke",
                         .summary = "Revoke an API key",
                         .tags = {"Keys"}},
                        [&h](const request& r, nothing, nothing) { return end_key(h, r); }));
  out.push_back(declare({.path = "/api/credits",
                         .operation = "credits",
                         .summary = "Credit balance, what is held, tier and monthly allowance",
                         .tags = {"Credits"}},
                        [&h](const request& r, nothing, nothing) { return credits(h, r); }));
  out.push_back(declare<nothing, history_query>(
      {.path = "/api/credits/history",
       .operation = "credits_history",
       .summary = "The account's ledger, newest first",
       .tags = {"Credits"}},
      [&h](const request& r, nothing, history_query query) { return credits_history(h, r, query); }));
  return out;
}

} // namespace troupe::http::studio
