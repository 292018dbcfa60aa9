// The account as JSON: whole for snapshots, without what opens it for people.

#include "actors/account/account_core.hpp"

namespace troupe::account {

json account_core::public_json() const {
  json keys = json::array(), sessions = json::array(), tokens = json::array();
  for (const auto& [key, record] : keys_)
    keys.push_back({{"id", key},
                    {"name", record.name},
                    {"prefix", record.prefix},
                    {"last4", record.last4},
                    {"active", record.active()},
                    {"terms", record.terms}});
  for (const auto& [hash, session] : sessions_)
    sessions.push_back(
        {{"id", session_name(hash)}, {"opened_at", session.opened_at}, {"expires_at", session.expires_at}});
  for (const auto& [hash, token] : tokens_)
    tokens.push_back({{"kind", token.kind}, {"expires_at", token.expires_at}});
  return {{"id", id},
          {"username", username},
          {"email", email},
          {"role", role},
          {"tier", tier},
          {"disabled", disabled},
          {"profile", profile},
          {"keys", std::move(keys)},
          {"sessions", std::move(sessions)},
          {"tokens", std::move(tokens)},
          {"created_at", created_at},
          {"deleted_at", deleted_at}};
}

json account_core::to_json() const {
  json keys = json::array(), sessions = json::object(), tokens = json::object();
  for (const auto& [key, record] : keys_)
    keys.push_back(record);
  for (const auto& [hash, session] : sessions_)
    sessions[hash] = session;
  for (const auto& [hash, token] : tokens_)
    tokens[hash] = token;
  return {{"id", id},
          {"username", username},
          {"email", email},
          {"password_hash", password_hash},
          {"role", role},
          {"tier", tier},
          {"keys", std::move(keys)},
          {"sessions", std::move(sessions)},
          {"tokens", std::move(tokens)},
          {"profile", profile},
          {"disabled", disabled},
          {"created_at", created_at},
          {"deleted_at", deleted_at}};
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
  out.deleted_at = state.value("deleted_at", timestamp{0});
  out.profile = state.value("profile", account::profile{});
  for (const auto& record : state.at("keys"))
    out.keys_[record.at("id").get<std::string>()] = record.get<key_record>();
  const auto& sessions = state.at("sessions");
  if (sessions.is_array()) { // as snapshots had it before sessions had more than two times
    for (const auto& s : sessions)
      out.sessions_[s.at(0).get<std::string>()] = {
          s.at(1).get<timestamp>(), s.at(2).get<timestamp>(), s.at(1).get<timestamp>(), {}, {}};
  } else {
    for (const auto& [hash, session] : sessions.items())
      out.sessions_[hash] = session.get<session_record>();
  }
  const auto tokens = state.value("tokens", json::object());
  for (const auto& [hash, token] : tokens.items())
    out.tokens_[hash] = token.get<token_record>();
  return out;
}

} // namespace troupe::account
