#include "actors/account/account_core.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace troupe::account {

void account_core::evolve(const event& happened) {
  std::visit([this](const auto& e) { on(e); }, happened);
}

void account_core::on(const created& e) {
  id = e.account;
  username = e.username;
  password_hash = e.password_hash;
  role = e.role;
  tier = e.tier;
  created_at = e.at;
}

void account_core::on(const key_created& e) {
  keys_[e.key] = {e.key, e.name, e.family, e.prefix, e.last4, e.hash, e.at, 0, 0, false, e.terms};
  if (keys_.size() <= bounds.keys_max)
    return;
  auto oldest = keys_.end();
  for (auto at = keys_.begin(); at != keys_.end(); ++at)
    if (at->second.revoked_at != 0 && (oldest == keys_.end() || at->second.revoked_at < oldest->second.revoked_at))
      oldest = at;
  if (oldest != keys_.end())
    keys_.erase(oldest);
}

void account_core::on(const key_changed& e) {
  if (auto found = keys_.find(e.key); found != keys_.end()) {
    found->second.name = e.name;
    found->second.paused = e.paused;
    found->second.terms = e.terms;
  }
}

void account_core::on(const key_used& e) {
  if (auto found = keys_.find(e.key); found != keys_.end())
    found->second.last_used = e.at;
}

void account_core::on(const key_revoked& e) {
  if (auto found = keys_.find(e.key); found != keys_.end())
    found->second.revoked_at = e.at;
}

void account_core::on(const session_opened& e) {
  sessions_[e.hash] = {e.at, e.expires_at, e.at, e.address, e.user_agent};
}

void account_core::on(const session_extended& e) {
  if (auto found = sessions_.find(e.hash); found != sessions_.end()) {
    found->second.expires_at = e.expires_at;
    found->second.extended_at = e.at;
  }
}

void account_core::on(const session_closed& e) { sessions_.erase(e.hash); }

void account_core::on(const changed& e) {
  if (!e.tier.empty())
    tier = e.tier;
  if (!e.role.empty())
    role = e.role;
  if (!e.disabled.empty())
    disabled = e.disabled == "yes";
}

void account_core::on(const password_changed& e) { password_hash = e.password_hash; }

void account_core::on(const email_changed& e) { email = e.email; }

void account_core::on(const profile_changed& e) { profile = e.now; }

void account_core::on(const token_issued& e) { tokens_[e.hash] = {e.kind, e.email, e.expires_at}; }

void account_core::on(const token_ended& e) { tokens_.erase(e.hash); }

void account_core::on(const deleted& e) {
  auto gone = id;
  auto since = created_at;
  auto kept = bounds;
  *this = {};
  id = gone;
  created_at = since;
  deleted_at = e.at;
  bounds = kept;
}

std::vector<std::string> account_core::sessions_to_end(timestamp at) const {
  std::vector<std::string> out;
  std::vector<std::pair<timestamp, std::string>> live;
  for (const auto& [hash, session] : sessions_) {
    if (session.expires_at <= at)
      out.push_back(hash);
    else
      live.emplace_back(session.extended_at, hash);
  }
  std::sort(live.begin(), live.end());
  for (std::size_t i = 0; i + bounds.sessions_max <= live.size(); ++i)
    out.push_back(live[i].second);
  return out;
}

std::vector<std::string> account_core::sessions_named(const std::string& name, const std::string& kept) const {
  std::vector<std::string> out;
  for (const auto& [hash, session] : sessions_)
    if (hash != kept && (name.empty() || session_name(hash) == name))
      out.push_back(hash);
  return out;
}

std::size_t account_core::active_keys() const {
  return static_cast<std::size_t>(
      std::count_if(keys_.begin(), keys_.end(), [](const auto& entry) { return entry.second.revoked_at == 0; }));
}

const key_record* account_core::find_key(const std::string& key) const {
  auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

bool account_core::worth_noting(const std::string& key, timestamp at) const {
  auto found = find_key(key);
  return found != nullptr && found->active() && at - found->last_used >= bounds.key_used_every_ms;
}

const token_record* account_core::live_token(const std::string& kind, const std::string& hash, timestamp at) const {
  auto found = tokens_.find(hash);
  return found == tokens_.end() || found->second.kind != kind || found->second.expires_at <= at ? nullptr
                                                                                                : &found->second;
}

bool account_core::enough_tokens(const std::string& kind, timestamp at) const {
  auto live = std::count_if(tokens_.begin(), tokens_.end(), [&](const auto& entry) {
    return entry.second.kind == kind && entry.second.expires_at > at;
  });
  return static_cast<std::size_t>(live) >= bounds.tokens_max;
}

std::vector<std::string> account_core::tokens_to_end(const std::string& kind, timestamp at) const {
  std::vector<std::string> out;
  for (const auto& [hash, token] : tokens_)
    if (kind.empty() || token.kind == kind || token.expires_at <= at)
      out.push_back(hash);
  return out;
}

void account_core::check_invariants() const {
  TROUPE_CHECK(!exists() || (!username.empty() && !role.empty() && !tier.empty()));
  for (const auto& [key, record] : keys_)
    TROUPE_CHECK(key == record.id);
  TROUPE_CHECK(sessions_.size() <= bounds.sessions_max);
  TROUPE_CHECK(tokens_.size() <= 2 * bounds.tokens_max); // two kinds
  TROUPE_CHECK(deleted_at == 0 || (username.empty() && email.empty() && password_hash.empty() && keys_.empty() &&
                                   sessions_.empty() && tokens_.empty() && profile.display_name.empty()));
}

} // namespace troupe::account
