#include "http/studio/keys.hpp"

#include "common/random.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/store_answer_book.hpp"
#include "http/bridge/submission.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::http::studio {

namespace {

json row_of(const key_view& key) {
  const auto& t = key.terms;
  auto expired = t.expires_at != 0 && t.expires_at <= now_ms();
  return {{"id", key.id},
          {"prefix", key.prefix},
          {"last4", key.last4},
          {"name", key.name},
          {"family", key.family},
          {"created_at", studio_time(key.created_at)},
          {"last_used", key.last_used == 0 ? json() : json(studio_time(key.last_used))},
          {"is_active", key.is_active && !expired},
          {"revoked", key.revoked},
          {"expires_at", t.expires_at == 0 ? json() : json(studio_time(t.expires_at))},
          {"scopes", t.scopes.empty() ? key_scopes : t.scopes},
          {"rate_limit_per_minute", t.per_minute == 0 ? json() : json(t.per_minute)},
          {"spend_limit", t.spend_limit == 0 ? json() : json(static_cast<double>(t.spend_limit) / micro_per_credit)}};
}

/// A limit, however small, stays one: 0 would be none.
micro_credits micro_of(double whole) {
  auto rounded = std::llround(whole * static_cast<double>(micro_per_credit));
  return whole > 0 ? std::max<micro_credits>(1, rounded) : 0;
}

asio::awaitable<reply> list(const head& h, const request& r) {
  describe_account ask;
  ask.account = r.who->account;
  auto account = co_await h.actors.ask(std::move(ask));
  if (!account)
    co_return problem_of(account.error());
  json rows = json::array();
  for (const auto& key : account->keys)
    rows.push_back(row_of(key));
  json answer = {{"keys", std::move(rows)}};
  co_return reply::of(std::move(answer));
}

/// A key that was made for the same request before a crash was never shown: another takes its place.
asio::awaitable<std::optional<problem>> end_unseen(const head& h, const request& r) {
  if (!r.only_once || r.only_once->made.empty())
    co_return std::nullopt;
  revoke_key revoke;
  revoke.account = r.who->account;
  revoke.key = r.only_once->made;
  revoke.at = now_ms();
  revoke.who = asker_of(r);
  auto ended = co_await h.actors.ask(std::move(revoke));
  if (!ended)
    co_return problem_of(ended.error());
  co_return std::nullopt;
}

asio::awaitable<reply> make(const head& h, const request& r, key_body body) {
  if (auto why = refuse_bound(r, "make or change keys"))
    co_return *why;
  auto unseen = co_await end_unseen(h, r);
  if (unseen)
    co_return std::move(*unseen);
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
  create.terms.scopes = std::move(body.scopes);
  create.terms.expires_at = body.expires_in_s ? create.at + *body.expires_in_s * 1000 : 0;
  create.terms.per_minute = body.rate_limit_per_minute.value_or(0);
  create.terms.spend_limit = micro_of(body.spend_limit.value_or(0));
  create.who = asker_of(r);
  if (auto row = once_row(r, create.key, create.at))
    create.rows.push_back(std::move(*row));
  auto made = co_await h.actors.ask(std::move(create));
  if (!made)
    co_return problem_of(made.error());
  auto answer = row_of(*made);
  answer["key"] = key;
  co_return reply::of(std::move(answer), 201);
}

asio::awaitable<reply> change(const head& h, const request& r, key_change body) {
  if (auto why = refuse_bound(r, "make or change keys"))
    co_return *why;
  change_key command;
  command.account = r.who->account;
  command.key = r.param("id");
  command.at = now_ms();
  command.who = asker_of(r);
  auto& changes = command.changes;
  if (body.name)
    changes["name"] = *body.name;
  if (body.is_active)
    changes["is_active"] = *body.is_active;
  if (body.scopes)
    changes["scopes"] = *body.scopes;
  if (body.expires_in_s)
    changes["expires_at"] = *body.expires_in_s == 0 ? 0 : command.at + *body.expires_in_s * 1000;
  if (body.rate_limit_per_minute)
    changes["per_minute"] = *body.rate_limit_per_minute;
  if (body.spend_limit)
    changes["spend_limit"] = micro_of(*body.spend_limit);
  auto changed = co_await h.actors.ask(std::move(command));
  if (!changed)
    co_return problem_of(changed.error());
  tell_streams(h, r.who->account);
  co_return reply::of(row_of(*changed));
}

asio::awaitable<reply> end(const head& h, const request& r) {
  revoke_key revoke;
  revoke.account = r.who->account;
  revoke.key = r.param("id");
  revoke.at = now_ms();
  revoke.who = asker_of(r);
  auto ended = co_await h.actors.ask(std::move(revoke));
  if (!ended)
    co_return problem_of(ended.error());
  tell_streams(h, r.who->account);
  json answer = {{"success", true}, {"id", ended->id}, {"is_active", false}};
  co_return reply::of(std::move(answer));
}

} // namespace

std::vector<endpoint> key_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare({.path = "/api/keys",
                         .operation = "key_list",
                         .summary = "List your API keys",
                         .tags = {"Keys"},
                         .key_scope = scope::account},
                        [&h](const request& r, nothing, nothing) { return list(h, r); }));
  out.push_back(
      declare<key_body>({.method = verb::post,
                         .path = "/api/keys",
                         .operation = "key_create",
                         .summary = "Create an API key; the full key is shown this once",
                         .tags = {"Keys"},
                         .success = 201,
                         .key_scope = scope::account},
                        [&h](const request& r, key_body body, nothing) { return make(h, r, std::move(body)); }));
  out.push_back(
      declare<key_change>({.method = verb::patch,
                           .path = "/api/keys/{id}",
                           .operation = "key_change",
                           .summary = "Rename an API key, switch it off or on, change its limits",
                           .tags = {"Keys"},
                           .key_scope = scope::account},
                          [&h](const request& r, key_change body, nothing) { return change(h, r, std::move(body)); }));
  out.push_back(declare({.method = verb::del,
                         .path = "/api/keys/{id}",
                         .operation = "key_revoke",
                         .summary = "Revoke an API key",
                         .tags = {"Keys"},
                         .key_scope = scope::account},
                        [&h](const request& r, nothing, nothing) { return end(h, r); }));
  return out;
}

} // namespace troupe::http::studio
