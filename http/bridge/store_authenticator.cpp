#include "http/bridge/store_authenticator.hpp"

#include "http/bridge/views.hpp"

#include <algorithm>

namespace troupe::http {

namespace {

constexpr timestamp note_every_ms = 3'600'000, extend_every_ms = 60'000;
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
  auto hash = head_.keys.hash(key);
  auto row = read_row(head_.database, storage::table::api_keys, hash);
  if (!row || !row->value("active", true))
    return std::nullopt;
  auto terms = row->get<account::key_terms>();
  if (terms.expires_at != 0 && terms.expires_at <= now_ms())
    return std::nullopt;
  auto out = account_identity(row->value("account", std::string{}));
  if (!out)
    return out;
  out->key = row->value("key", std::string{});
  out->credential = std::move(hash);
  out->restricted = terms.restricted();
  out->spend_limit = terms.spend_limit;
  if (terms.per_minute > 0)
    out->per_minute = terms.per_minute;
  out->scopes = std::move(terms.scopes);
  out->admin = out->admin && out->may("admin");
  return out;
}

std::optional<identity> store_authenticator::by_session(const std::string& token) {
  auto hash = head_.keys.hash(token);
  auto row = read_row(head_.database, storage::table::sessions, hash);
  auto ends = row ? row->value("expires_at", timestamp{0}) : 0;
  if (ends <= now_ms())
    return std::nullopt;
  auto out = account_identity(row->value("account", std::string{}));
  if (out) {
    out->session = hash;
    out->credential = hash;
    extend(*out, ends);
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

// "last used" is to the hour: each time is an event in the account's journal.
void store_authenticator::note_use(const identity& who) {
  auto now = now_ms();
  if (!due(who.key, now, note_every_ms))
    return;
  use_key use;
  use.account = who.account;
  use.key = who.key;
  use.at = now;
  head_.actors.tell(std::move(use));
}

void store_authenticator::extend(const identity& who, timestamp expires_at) {
  auto now = now_ms();
  auto age = now + head_.session_ms - expires_at;
  auto every = std::min(head_.session_refresh_ms, head_.session_ms / 2);
  if (age < every || !due(who.session, now, std::min(every, extend_every_ms)))
    return;
  extend_session more;
  more.account = who.account;
  more.token_hash = who.session;
  more.at = now;
  more.expires_at = now + head_.session_ms;
  head_.actors.tell(std::move(more));
}

bool store_authenticator::due(const std::string& what, timestamp now, timestamp every_ms) {
  std::lock_guard guard(mutex_);
  if (noted_.size() >= noted_max)
    noted_.clear();
  auto& last = noted_[what];
  if (now - last < every_ms)
    return false;
  last = now;
  return true;
}

} // namespace troupe::http
