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
  email = e.email;
  password_hash = e.password_hash;
  role = e.role;
  tier = e.tier;
  created_at = e.at;
}

void account_core::on(const key_created& e) {
  keys_[e.key] = {e.key, e.name, e.family, e.prefix, e.last4, e.hash, e.at, 0, 0};
}

void account_core::on(const key_used& e) {
  if (auto found = keys_.find(e.key); found != keys_.end())
    found->second.last_used = e.at;
}

void account_core::on(const key_revoked& e) {
  if (auto found = keys_.find(e.key); found != keys_.end())
    found->second.revoked_at = e.at;
}

void account_core::on(const session_opened& e) { sessions_[e.hash] = {e.at, e.expires_at}; }

void account_core::on(const session_closed& e) { sessions_.erase(e.hash); }

void account_core::on(const changed& e) {
  if (!e.tier.empty())
    tier = e.tier;
  if (!e.role.empty())
    role = e.role;
  if (!e.disabled.empty())
    disabled = e.disabled == "yes";
}

std::vector<std::string> account_core::sessions_to_end(timestamp at) const {
  std::vector<std::string> out;
  std::vector<std::pair<timestamp, std::string>> live;
  for (const auto& [hash, times] : sessions_) {
    if (times.second <= at)
      out.push_back(hash);
    else
      live.emplace_back(times.first, hash);
  }
  std::sort(live.begin(), live.end());
  for (std::size_t i = 0; i + bounds.sessions_max <= live.size(); ++i)
    out.push_back(live[i].second);
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
  return found != nullptr && found->revoked_at == 0 && at - found->last_used >= bounds.key_used_every_ms;
}

json account_core::public_json() const {
  json keys = json::array();
  for (const auto& [key, record] : keys_)
    keys.push_back({{"id", key},
                    {"name", record.name},
                    {"prefix", record.prefix},
                    {"last4", record.last4},
                    {"active", record.revoked_at == 0}});
  return {{"id", id},
          {"username", username},
          {"email", email},
          {"role", role},
          {"tier", tier},
          {"disabled", disabled},
          {"keys", keys},
          {"sessions", sessions_.size()},
          {"created_at", created_at}};
}

json account_core::to_json() const {
  json keys = json::array(), sessions = json::array();
  for (const auto& [key, record] : keys_)
    keys.push_back(record);
  for (const auto& [hash, times] : sessions_)
    sessions.push_back({hash, times.first, times.second});
  return {{"id", id},
          {"username", username},
          {"email", email},
          {"password_hash", password_hash},
          {"role", role},
          {"tier", tier},
          {"keys", keys},
          {"sessions", sessions},
          {"disabled", disabled},
          {"created_at", created_at}};
}

account_core account_core::from_json(const json& state) {
  account_core out;
  out.id = state.at("id").get<std::string>();
  out.username = state.at("username").get<std::string>();
  out.email = state.at("email").get<std::string>();
  out.password_hash = state.at("password_hash").get<std::string>();
  out.role = state.at("role").get<std::string>();
  out.tier = state.at("tier").get<std::string>();
  out.disabled = state.at("disabled").get<bool>();
  out.created_at = state.at("created_at").get<timestamp>();
  for (const auto& record : state.at("keys"))
    out.keys_[record.at("id").get<std::string>()] = record.get<key_record>();
  for (const auto& session : state.at("sessions"))
    out.sessions_[session.at(0).get<std::string>()] = {session.at(1).get<timestamp>(), session.at(2).get<timestamp>()};
  return out;
}

void account_core::check_invariants() const {
  TROUPE_CHECK(!exists() || (!username.empty() && !role.empty() && !tier.empty()));
  for (const auto& [key, record] : keys_)
    TROUPE_CHECK(key == record.id);
  TROUPE_CHECK(sessions_.size() <= bounds.sessions_max);
}

} // namespace troupe::account
