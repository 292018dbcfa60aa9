#pragma once

// The rules of an account: pure, rebuilt from its events.

#include "common/clock.hpp"
#include "common/json.hpp"

#include <map>
#include <string>
#include <variant>
#include <vector>

namespace troupe::account {

struct created {
  static constexpr const char* type = "created";
  std::string account, username, email, password_hash, role, tier;
  timestamp at = 0;
};
struct key_created {
  static constexpr const char* type = "key_created";
  std::string key, name, family, prefix, last4, hash;
  timestamp at = 0;
};
struct key_used {
  static constexpr const char* type = "key_used";
  std::string key;
  timestamp at = 0;
};
struct key_revoked {
  static constexpr const char* type = "key_revoked";
  std::string key;
  timestamp at = 0;
};
struct session_opened {
  static constexpr const char* type = "session_opened";
  std::string hash;
  timestamp at = 0, expires_at = 0;
};
struct session_closed {
  static constexpr const char* type = "session_closed";
  std::string hash;
  timestamp at = 0;
};
struct changed {
  static constexpr const char* type = "changed";
  std::string by, tier, role, disabled, reason; // empty: as it was
  timestamp at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(created, account, username, email, password_hash, role, tier, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_created, key, name, family, prefix, last4, hash, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_used, key, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_revoked, key, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(session_opened, hash, at, expires_at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(session_closed, hash, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(changed, by, tier, role, disabled, reason, at)

using event = std::variant<created, key_created, key_used, key_revoked, session_opened, session_closed, changed>;

struct limits {
  std::size_t active_keys_max = 50;
  std::size_t sessions_max = 20;
  timestamp key_used_every_ms = 60'000;
};

struct key_record {
  std::string id, name, family, prefix, last4, hash;
  timestamp created_at = 0, last_used = 0, revoked_at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_record, id, name, family, prefix, last4, hash, created_at,
                                                last_used, revoked_at)

class account_core {
public:
  using event = account::event;

  bool exists() const { return !id.empty(); }
  void evolve(const event& happened);

  /// Sessions that must go so that another may come: those that have expired, and the oldest beyond the limit.
  std::vector<std::string> sessions_to_end(timestamp at) const;
  std::size_t active_keys() const;
  const key_record* find_key(const std::string& key) const;
  /// The key was last noted so long ago that a use is worth an event.
  bool worth_noting(const std::string& key, timestamp at) const;
  bool has_session(const std::string& hash) const { return sessions_.contains(hash); }

  /// With the hashes: for snapshots, never for people.
  json to_json() const;
  static account_core from_json(const json& state);
  /// Without them.
  json public_json() const;

  /// Aborts when a promise is broken: 1. an account that exists has a name, a role and a tier; 2. a key's id is its
  /// place in the list; 3. there are never more sessions than the limit.
  void check_invariants() const;

  std::string id, username, email, password_hash, role, tier;
  bool disabled = false;
  timestamp created_at = 0;
  limits bounds;

  const std::map<std::string, key_record>& keys() const { return keys_; }

private:
  void on(const created& e);
  void on(const key_created& e);
  void on(const key_used& e);
  void on(const key_revoked& e);
  void on(const session_opened& e);
  void on(const session_closed& e);
  void on(const changed& e);

  std::map<std::string, key_record> keys_;
  std::map<std::string, std::pair<timestamp, timestamp>> sessions_; // hash → opened, expires
};

} // namespace troupe::account
