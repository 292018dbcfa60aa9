#pragma once

// What can happen to an account, as its journal keeps it.

#include "common/clock.hpp"
#include "common/json.hpp"
#include "common/money.hpp"

#include <string>
#include <variant>
#include <vector>

namespace troupe::account {

struct created {
  static constexpr const char* type = "created";
  std::string account, username, password_hash, role, tier;
  timestamp at = 0;
};
/// What a key may do beyond being its account's. Stored with the key; the defaults bind nothing.
struct key_terms {
  std::vector<std::string> scopes; // of read, generate, account, admin; empty: all that the account may
  timestamp expires_at = 0;        // 0: never
  std::int64_t per_minute = 0;     // requests; 0: the server's limit
  micro_credits spend_limit = 0;   // in all; 0: none
  bool restricted() const { return !scopes.empty() || expires_at != 0 || spend_limit != 0; }
  friend bool operator==(const key_terms&, const key_terms&) = default;
};
struct key_created {
  static constexpr const char* type = "key_created";
  std::string key, name, family, prefix, last4, hash;
  timestamp at = 0;
  key_terms terms;
};
struct key_changed {
  static constexpr const char* type = "key_changed";
  std::string key, name;
  bool paused = false;
  key_terms terms;
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
  std::string address, user_agent; // so that its owner knows it again in a list
};
struct session_extended {
  static constexpr const char* type = "session_extended";
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
struct password_changed {
  static constexpr const char* type = "password_changed";
  std::string password_hash;
  timestamp at = 0;
};
struct email_changed {
  static constexpr const char* type = "email_changed";
  std::string email;
  timestamp at = 0;
};
/// What one shows of oneself, and how one likes the pages. Always whole.
struct profile {
  std::string display_name, bio;
  bool profile_public = false;
  std::string theme = "dark";
  std::string avatar; // the SHA-256 of the picture; empty: none
  friend bool operator==(const profile&, const profile&) = default;
};
struct profile_changed {
  static constexpr const char* type = "profile_changed";
  profile now;
  timestamp at = 0;
};
/// A token went out by mail: of kind "reset" (a forgotten password) or "email" (a new address, in `email`).
struct token_issued {
  static constexpr const char* type = "token_issued";
  std::string kind, hash, email;
  timestamp at = 0, expires_at = 0;
};
/// It was used, or has expired, or was made useless by another.
struct token_ended {
  static constexpr const char* type = "token_ended";
  std::string hash;
  timestamp at = 0;
};
/// The person is gone: all that is personal is erased.
struct deleted {
  static constexpr const char* type = "deleted";
  timestamp at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(created, account, username, password_hash, role, tier, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_terms, scopes, expires_at, per_minute, spend_limit)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_created, key, name, family, prefix, last4, hash, at, terms)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_changed, key, name, paused, terms, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_used, key, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_revoked, key, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(session_opened, hash, at, expires_at, address, user_agent)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(session_extended, hash, at, expires_at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(session_closed, hash, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(changed, by, tier, role, disabled, reason, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(password_changed, password_hash, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(email_changed, email, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(profile, display_name, bio, profile_public, theme, avatar)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(profile_changed, now, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(token_issued, kind, hash, email, at, expires_at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(token_ended, hash, at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(deleted, at)

using event = std::variant<created, key_created, key_changed, key_used, key_revoked, session_opened, session_extended,
                           session_closed, changed, password_changed, email_changed, profile_changed, token_issued,
                           token_ended, deleted>;

} // namespace troupe::account
