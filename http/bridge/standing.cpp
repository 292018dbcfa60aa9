#include "http/bridge/standing.hpp"

#include "http/bridge/views.hpp"

#include <algorithm>

namespace troupe::http {

std::int64_t standing(const head& h, const identity& who, std::string_view scope) {
  constexpr std::int64_t day_ms = 86'400'000;
  auto door =
      read_row(h.database, who.key.empty() ? storage::table::sessions : storage::table::api_keys, who.credential);
  if (!door || door->value("account", std::string{}) != who.account || !door->value("active", true))
    return 0;
  auto account = read_row(h.database, storage::table::accounts, who.account);
  if (!account || account->value("disabled", false))
    return 0;
  identity now;
  now.scopes = door->value("scopes", std::vector<std::string>{});
  bool admin = account->value("role", std::string{}) == "admin" && now.may("admin");
  if (!now.may(scope) || (who.admin && !admin))
    return 0;
  auto ends = door->value("expires_at", timestamp{0});
  return ends == 0 ? day_ms : std::clamp<std::int64_t>(ends - now_ms(), 0, day_ms);
}

std::optional<problem> refuse_bound(const request& r, const std::string& what) {
  if (!r.who->restricted)
    return std::nullopt;
  return forbidden("An API key with scopes, an end or a spend limit cannot " + what + "; log in instead");
}

std::optional<problem> refuse_buyer(const request& r) {
  const auto& who = *r.who;
  bool named = !who.scopes.empty() && who.may("account");
  if (!who.restricted || (named && who.spend_limit == 0))
    return std::nullopt;
  return forbidden("An API key with a spend limit, or without the scope 'account', cannot buy; log in instead");
}

void tell_streams(const head& h, const std::string& account) { h.feeds.publish_rights(account_id{account}); }

asker asker_of(const request& r) {
  asker out;
  if (r.who) {
    out.account = r.who->account;
    out.via = r.who->key.empty() ? "session" : "key " + r.who->key;
  }
  out.address = r.remote_address;
  out.request_id = r.request_id;
  return out;
}

} // namespace troupe::http
