#include "http/bridge/store_authenticator.hpp"

#include "http/bridge/views.hpp"

namespace troupe::http {

namespace {

constexpr timestamp note_every_ms = 60'000;
constexpr std::size_t noted_max = 100'000;

} // namespace

asio::awaitable<result<std::optional<identity>>> store_authenticator::authenticate(const request& r) {
  auto shown = credentials_of(r);
  std::optional<identity> who;
  if (!shown.key.empty())
    who = by_key(shown.key);
  else if (!shown.session.empty())
    who = by_session(shown.session);
  if (who && !who->key.empty())
    note_use(*who);
  co_return result<std::optional<identity>>(std::move(who));
}

std::optional<identity> store_authenticator::by_key(const std::string& key) {
  auto row = read_row(head_.database, storage::table::api_keys, head_.keys.hash(key));
  if (!row)
    return std::nullopt;
  auto out = account_identity(row->value("account", std::string{}));
  if (out)
    out->key = row->value("key", std::string{});
  return out;
}

std::optional<identity> store_authenticator::by_session(const std::string& token) {
  auto hash = head_.keys.hash(token);
  auto row = read_row(head_.database, storage::table::sessions, hash);
  if (!row || row->value("expires_at", timestamp{0}) <= now_ms())
    return std::nullopt;
  auto out = account_identity(row->value("account", std::string{}));
  if (out) {
    out->session = hash;
    out->via_cookie = true;
  }
  return out;
}

std::optional<identity> store_authenticator::account_identity(const std::string& account) {
  auto row = read_row(head_.database, storage::table::accounts, account);
  if (!row || row->value("disabled", false))
    return std::nullopt;
  identity out;
  out.account = account;
  out.username = row->value("username", std::string{});
  out.admin = row->value("role", std::string{}) == "admin";
  out.tier = row->value("tier", std::string{"free"});
  return out;
}

// "last used" is to the minute: the account is told no more often.
void store_authenticator::note_use(const identity& who) {
  auto now = now_ms();
  {
    std::lock_guard guard(mutex_);
    if (noted_.size() >= noted_max)
      noted_.clear();
    auto& last = noted_[who.key];
    if (now - last < note_every_ms)
      return;
    last = now;
  }
  use_key use;
  use.account = who.account;
  use.key = who.key;
  use.at = now;
  head_.actors.tell(std::move(use));
}

} // namespace troupe::http
