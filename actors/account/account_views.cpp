#include "actors/account/account_actor.hpp"

namespace troupe {

using storage::row;
using storage::table;

account_view account_actor::view() const {
  account_view out{core_.id,       core_.username,   core_.email,   core_.role, core_.tier,
                   core_.disabled, core_.created_at, core_.profile, {},         {}};
  for (const auto& [key, record] : core_.keys())
    out.keys.push_back(view_of(key));
  for (const auto& [hash, s] : core_.sessions())
    out.sessions.push_back(
        {account::session_name(hash), s.opened_at, s.expires_at, s.extended_at, s.address, s.user_agent});
  return out;
}

key_view account_actor::view_of(const std::string& key) const {
  const auto& r = *core_.find_key(key);
  return {r.id, r.name, r.family, r.prefix, r.last4, r.created_at, r.last_used, r.active(), r.revoked_at != 0, r.terms};
}

row account_actor::summary() const {
  return {table::accounts, id(),
          pack({{"username", core_.username},
                {"email", core_.email},
                {"role", core_.role},
                {"tier", core_.tier},
                {"disabled", core_.disabled},
                {"profile", core_.profile},
                {"created_at", core_.created_at}}),
          false};
}

row account_actor::session_row(const std::string& hash, timestamp expires_at) const {
  return {table::sessions, hash, pack({{"account", id()}, {"expires_at", expires_at}}), false};
}

row account_actor::key_row(const std::string& hash, const key_view& key) const {
  json value = key.terms;
  value["account"] = id();
  value["key"] = key.id;
  value["active"] = key.is_active;
  return {table::api_keys, hash, pack(value), false};
}

} // namespace troupe
