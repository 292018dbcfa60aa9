#include "http/bridge/standing.hpp"

#include "http/bridge/views.hpp"

#include <algorithm>

namespace troupe::http {

std::int64_t standing(const head& h, const identity& who) {
  constexpr std::int64_t day_ms = 86'400'000;
  auto door =
      read_row(h.database, who.key.empty() ? storage::table::sessions : storage::table::api_keys, who.credential);
  if (!door || door->value("account", std::string{}) != who.account || !door->value("active", true))
    return 0;
  auto account = read_row(h.database, storage::table::accounts, who.account);
  if (!account || account->value("disabled", false))
    return 0;
  auto ends = door->value("expires_at", timestamp{0});
  return ends == 0 ? day_ms : std::clamp<std::int64_t>(ends - now_ms(), 0, day_ms);
}

void tell_streams(const head& h, const std::string& account) { h.feeds.publish(account_id{account}); }

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
