#include "http/studio/sessions.hpp"

#include "actors/account/account_core.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"

namespace troupe::http::studio {

namespace {

asio::awaitable<reply> list(const head& h, const request& r) {
  describe_account ask;
  ask.account = r.who->account;
  auto account = co_await h.actors.ask(std::move(ask));
  if (!account)
    co_return problem_of(account.error());
  json rows = json::array();
  for (const auto& s : account->sessions) {
    if (s.expires_at <= now_ms())
      continue;
    rows.push_back({{"id", s.id},
                    {"created_at", studio_time(s.opened_at)},
                    {"last_used", studio_time(s.last_used)},
                    {"expires_at", studio_time(s.expires_at)},
                    {"address", s.address},
                    {"user_agent", s.user_agent},
                    {"current", !r.who->session.empty() && account::session_name(r.who->session) == s.id}});
  }
  json answer = {{"sessions", std::move(rows)}};
  co_return reply::of(std::move(answer));
}

/// Ends the session called `id`, or all but the one that asks.
asio::awaitable<reply> end(const head& h, const request& r, std::string id) {
  end_sessions command;
  command.account = r.who->account;
  command.kept = id.empty() ? r.who->session : std::string{};
  command.id = std::move(id);
  command.at = now_ms();
  command.who = asker_of(r);
  auto done = co_await h.actors.ask(std::move(command));
  if (!done)
    co_return problem_of(done.error());
  tell_streams(h, r.who->account);
  json answer = {{"success", true}, {"sessions_left", done->sessions.size()}};
  co_return reply::of(std::move(answer));
}

} // namespace

std::vector<endpoint> session_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare({.path = "/api/sessions",
                         .operation = "session_list",
                         .summary = "Who is logged in to your account, from where and since when",
                         .tags = {"Account"},
                         .key_scope = scope::account},
                        [&h](const request& r, nothing, nothing) { return list(h, r); }));
  out.push_back(declare({.method = verb::del,
                         .path = "/api/sessions",
                         .operation = "session_end_others",
                         .summary = "Log out everywhere else",
                         .tags = {"Account"},
                         .key_scope = scope::account},
                        [&h](const request& r, nothing, nothing) { return end(h, r, {}); }));
  out.push_back(declare({.method = verb::del,
                         .path = "/api/sessions/{id}",
                         .operation = "session_end",
                         .summary = "End one session",
                         .tags = {"Account"},
                         .key_scope = scope::account},
                        [&h](const request& r, nothing, nothing) { return end(h, r, r.param("id")); }));
  return out;
}

} // namespace troupe::http::studio
