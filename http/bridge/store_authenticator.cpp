#include "http/bridge/store_authenticator.hpp"

#include "http/bridge/views.hpp"

#include <algorithm>

namespace troupe::http {

namespace {

constexpr timestamp note_every_ms = 3'600'000, extend_every_ms = 60'000;
constexpr std::size_t noted_max = 100'000, holders_max = 10'000;

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
  auto known = holder_of(storage::table::api_keys, head_.keys.hash(key));
  if (known.ends != 0 && known.ends <= now_ms())
    return std::nullopt;
  return std::move(known.who);
}

std::optional<identity> store_authenticator::by_session(const std::string& token) {
  auto known = holder_of(storage::table::sessions, head_.keys.hash(token));
  if (known.ends <= now_ms())
    return std::nullopt;
  if (known.who)
    extend(*known.who, known.ends);
  return std::move(known.who);
}

// The versions are asked for before the rows are read: should a row change meanwhile, what was read is not found again.
store_authenticator::holder store_authenticator::holder_of(storage::table door, const std::string& hash) {
  remembered now{{}, head_.database.version(door), head_.database.version(storage::table::accounts)};
  {
    std::lock_guard guard(holders_mutex_);
    auto found = holders_.find(hash);
    if (found != holders_.end() && found->second.door == now.door && found->second.accounts == now.accounts)
      return found->second.what;
  }
  now.what = door == storage::table::api_keys ? read_key(hash) : read_session(hash);
  auto out = now.what;
  std::lock_guard guard(holders_mutex_);
  if (!out.who) {
    holders_.erase(hash);
    return out;
  }
  if (holders_.size() >= holders_max)
    holders_.clear();
  holders_[hash] = std::move(now);
  return out;
}

store_authenticator::holder store_authenticator::read_key(const std::string& hash) {
  auto row = read_row(head_.database, storage::table::api_keys, hash);
  if (!row || !row->value("active", true))
    return {};
  auto terms = row->get<account::key_terms>();
  auto out = account_identity(row->value("account", std::string{}));
  if (!out)
    return {};
  out->key = row->value("key", std::string{});
  out->credential = hash;
  out->restricted = terms.restricted();
  out->spend_limit = terms.spend_limit;
  if (terms.per_minute > 0)
    out->per_minute = terms.per_minute;
  out->scopes = std::move(terms.scopes);
  out->admin = out->admin && out->may("admin");
  return {std::move(out), terms.expires_at};
}

store_authenticator::holder store_authenticator::read_session(const std::string& hash) {
  auto row = read_row(head_.database, storage::table::sessions, hash);
  auto out = row ? account_identity(row->value("account", std::string{})) : std::nullopt;
  if (!out)
    return {};
  out->session = hash;
  out->credential = hash;
  return {std::move(out), row->value("expires_at", timestamp{0})};
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
