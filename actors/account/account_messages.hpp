#pragma once

// What may be said to an account: who someone is, and what opens its doors (password, API keys, sessions).

#include "actors/ledger/ledger_messages.hpp"

namespace troupe {

/// An API key as its owner sees it. The key itself is shown once, at creation, and never stored.
struct key_view {
  std::string id, name, family;
  std::string prefix; // "pk_"
  std::string last4;
  timestamp created_at = 0;
  timestamp last_used = 0; // 0: never; to the minute
  bool is_active = true;
};
TROUPE_MESSAGE(key_view, id, name, family, prefix, last4, created_at, last_used, is_active)

struct account_view {
  std::string id, username, email;
  std::string role; // user, admin
  std::string tier; // free … enterprise
  bool disabled = false;
  timestamp created_at = 0;
  std::vector<key_view> keys;
};
TROUPE_MESSAGE(account_view, id, username, email, role, tier, disabled, created_at, keys)

/// Makes the account. Errors: exists (the user name or address is taken).
struct create_account {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, username, email, password_hash;
  std::string role = "user", tier = "free";
  timestamp at = 0;
};
TROUPE_MESSAGE(create_account, account, username, email, password_hash, role, tier, at)

struct describe_account {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account;
};
TROUPE_MESSAGE(describe_account, account)

struct credentials {
  std::string password_hash; // Argon2id, encoded
  bool disabled = false;
};
TROUPE_MESSAGE(credentials, password_hash, disabled)

struct read_credentials {
  static constexpr actor_kind to = actor_kind::account;
  using reply = credentials;
  std::string account;
};
TROUPE_MESSAGE(read_credentials, account)

/// Stores a session by the keyed hash of its token. The oldest goes when there are too many.
struct open_session {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, token_hash;
  timestamp at = 0, expires_at = 0;
};
TROUPE_MESSAGE(open_session, account, token_hash, at, expires_at)

/// Ends a session; one that is not there is ended already.
struct close_session {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, token_hash;
  timestamp at = 0;
};
TROUPE_MESSAGE(close_session, account, token_hash, at)

/// Errors: queue_full (too many active keys).
struct create_key {
  static constexpr actor_kind to = actor_kind::account;
  using reply = key_view;
  std::string account, key, name, family, prefix, last4, key_hash;
  timestamp at = 0;
};
TROUPE_MESSAGE(create_key, account, key, name, family, prefix, last4, key_hash, at)

/// Ends a key for good. Errors: not_found.
struct revoke_key {
  static constexpr actor_kind to = actor_kind::account;
  using reply = key_view;
  std::string account, key;
  timestamp at = 0;
};
TROUPE_MESSAGE(revoke_key, account, key, at)

/// Notes that a key was used; more often than once a minute is not noted.
struct use_key {
  static constexpr actor_kind to = actor_kind::account;
  using reply = key_view;
  std::string account, key;
  timestamp at = 0;
};
TROUPE_MESSAGE(use_key, account, key, at)

/// By an admin. Empty fields stay as they are. `disabled`: "", "yes" or "no".
struct change_account {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, by, tier, role, disabled, reason;
  timestamp at = 0;
};
TROUPE_MESSAGE(change_account, account, by, tier, role, disabled, reason, at)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_account, caf::id_block::troupe_ledger::end)
CAF_ADD_TYPE_ID(troupe_account, (troupe::key_view))
CAF_ADD_TYPE_ID(troupe_account, (troupe::account_view))
CAF_ADD_TYPE_ID(troupe_account, (troupe::create_account))
CAF_ADD_TYPE_ID(troupe_account, (troupe::describe_account))
CAF_ADD_TYPE_ID(troupe_account, (troupe::credentials))
CAF_ADD_TYPE_ID(troupe_account, (troupe::read_credentials))
CAF_ADD_TYPE_ID(troupe_account, (troupe::open_session))
CAF_ADD_TYPE_ID(troupe_account, (troupe::close_session))
CAF_ADD_TYPE_ID(troupe_account, (troupe::create_key))
CAF_ADD_TYPE_ID(troupe_account, (troupe::revoke_key))
CAF_ADD_TYPE_ID(troupe_account, (troupe::use_key))
CAF_ADD_TYPE_ID(troupe_account, (troupe::change_account))
CAF_END_TYPE_ID_BLOCK(troupe_account)
