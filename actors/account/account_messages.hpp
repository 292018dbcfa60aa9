#pragma once

// What may be said to an account: who someone is, and what opens its doors (password, API keys, sessions).

#include "actors/account/account_events.hpp"
#include "actors/account/audit.hpp"
#include "actors/ledger/ledger_messages.hpp"

namespace troupe {

/// An API key as its owner sees it. The key itself is shown once, at creation, and never stored.
struct key_view {
  std::string id, name, family;
  std::string prefix; // "pk_"
  std::string last4;
  timestamp created_at = 0;
  timestamp last_used = 0; // 0: never; to the hour
  bool is_active = true;   // neither revoked nor switched off
  bool revoked = false;
  account::key_terms terms;
};
TROUPE_MESSAGE(key_view, id, name, family, prefix, last4, created_at, last_used, is_active, revoked, terms)

/// A session as its owner sees it.
struct session_view {
  std::string id; // opens nothing
  timestamp opened_at = 0, expires_at = 0;
  timestamp last_used = 0; // to the hour
  std::string address, user_agent;
};
TROUPE_MESSAGE(session_view, id, opened_at, expires_at, last_used, address, user_agent)

struct account_view {
  std::string id, username, email;
  std::string role; // user, admin
  std::string tier; // free … enterprise
  bool disabled = false;
  timestamp created_at = 0;
  account::profile profile;
  std::vector<key_view> keys;
  std::vector<session_view> sessions;
};
TROUPE_MESSAGE(account_view, id, username, email, role, tier, disabled, created_at, profile, keys, sessions)

/// Makes the account. Errors: exists (the user name is taken).
struct create_account {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, username, password_hash;
  std::string role = "user", tier = "free";
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(create_account, account, username, password_hash, role, tier, at, who)

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

/// Stores a session by the keyed hash of its token. The one that was idle longest goes when there are too many.
/// Errors: forbidden (the password is not the one that was `verified` any more, or the account is disabled).
struct open_session {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, token_hash;
  std::string verified; // the encoded hash that the password was checked against; empty: it was just made
  timestamp at = 0, expires_at = 0;
  std::string user_agent;
  asker who;
};
TROUPE_MESSAGE(open_session, account, token_hash, verified, at, expires_at, user_agent, who)

/// A session that is used lives on. One that has ended stays so.
struct extend_session {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, token_hash;
  timestamp at = 0, expires_at = 0;
};
TROUPE_MESSAGE(extend_session, account, token_hash, at, expires_at)

/// Ends a session; one that is not there is ended already.
struct close_session {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, token_hash;
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(close_session, account, token_hash, at, who)

/// Ends the session called `id`, or all when it is empty, and with these the tokens for another address; never the one
/// whose hash is `kept`. Errors: not_found.
struct end_sessions {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, id, kept;
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(end_sessions, account, id, kept, at, who)

/// Errors: conflict (too many active keys).
struct create_key {
  static constexpr actor_kind to = actor_kind::account;
  using reply = key_view;
  std::string account, key, name, family, prefix, last4, key_hash;
  timestamp at = 0;
  account::key_terms terms;
  asker who;
  std::vector<storage::row> rows; // written with it
};
TROUPE_MESSAGE(create_key, account, key, name, family, prefix, last4, key_hash, at, terms, who, rows)

/// Renames a key, switches it off or on, or changes its terms: each of `name`, `is_active`, `scopes`, `expires_at`,
/// `per_minute`, `spend_limit` that is there. Errors: not_found, conflict (it was revoked).
struct change_key {
  static constexpr actor_kind to = actor_kind::account;
  using reply = key_view;
  std::string account, key;
  json changes = json::object();
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(change_key, account, key, changes, at, who)

/// Ends a key for good. Errors: not_found.
struct revoke_key {
  static constexpr actor_kind to = actor_kind::account;
  using reply = key_view;
  std::string account, key;
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(revoke_key, account, key, at, who)

/// Notes that a key was used; more often than once an hour is not noted.
struct use_key {
  static constexpr actor_kind to = actor_kind::account;
  using reply = key_view;
  std::string account, key;
  timestamp at = 0;
};
TROUPE_MESSAGE(use_key, account, key, at)

/// By an admin. Empty fields stay as they are. `disabled`: "", "yes" or "no". Errors: conflict (nobody would be left to
/// act as an admin).
struct change_account {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, by, tier, role, disabled, reason;
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(change_account, account, by, tier, role, disabled, reason, at, who)

/// A new password, and the end of all sessions but `kept` and of all mailed tokens. Errors: conflict (the old one is
/// not `verified` any more).
struct set_password {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account;
  std::string verified, password_hash; // encoded hashes: of the password that was checked, and of the new one
  std::string kept;                    // the hash of the asker's own session
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(set_password, account, verified, password_hash, kept, at, who)

/// Stores a token that is about to be mailed, by its keyed hash. Kinds as in account::token_issued.
/// Errors: queue_full (enough are on their way), not_found, forbidden (disabled).
struct issue_token {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, kind, token_hash;
  std::string email; // of kind "email": the new address
  timestamp at = 0, expires_at = 0;
  asker who;
};
TROUPE_MESSAGE(issue_token, account, kind, token_hash, email, at, expires_at, who)

/// Uses a token, once. "reset": `password_hash` becomes the password's, all sessions end. "email": the address becomes
/// the account's. Errors: not_found (no such token, or not any more), exists (the address is another's), forbidden.
struct redeem_token {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, kind, token_hash, password_hash;
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(redeem_token, account, kind, token_hash, password_hash, at, who)

/// Each of `display_name`, `bio`, `profile_public`, `theme` that is in `changes`; and a picture, when there is one.
struct change_profile {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account;
  json changes = json::object();
  std::string avatar, avatar_sha256; // a JPEG and its hash
  timestamp at = 0;
};
TROUPE_MESSAGE(change_profile, account, changes, avatar, avatar_sha256, at)

/// Ends the account: its keys and sessions, its rows and all that is personal. Its ledger stays under its id.
/// Errors: conflict (the password is not `verified` any more, or it is the last admin).
struct delete_account {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account, verified;
  timestamp at = 0;
  asker who;
  std::vector<storage::row> rows; // what else goes in the same batch
};
TROUPE_MESSAGE(delete_account, account, verified, at, who, rows)

/// Writes an event into the audit log that changes nothing: a login that failed, a reset that was asked for somebody
/// unknown. The account need not exist.
struct note_security {
  static constexpr actor_kind to = actor_kind::account;
  using reply = account_view;
  std::string account; // whose mailbox it takes
  std::string subject; // whom it is about; empty: nobody known
  std::string kind;
  timestamp at = 0;
  asker who;
};
TROUPE_MESSAGE(note_security, account, subject, kind, at, who)

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
CAF_ADD_TYPE_ID(troupe_account, (troupe::extend_session))
CAF_ADD_TYPE_ID(troupe_account, (troupe::end_sessions))
CAF_ADD_TYPE_ID(troupe_account, (troupe::change_key))
CAF_ADD_TYPE_ID(troupe_account, (troupe::set_password))
CAF_ADD_TYPE_ID(troupe_account, (troupe::issue_token))
CAF_ADD_TYPE_ID(troupe_account, (troupe::redeem_token))
CAF_ADD_TYPE_ID(troupe_account, (troupe::change_profile))
CAF_ADD_TYPE_ID(troupe_account, (troupe::delete_account))
CAF_ADD_TYPE_ID(troupe_account, (troupe::note_security))
CAF_END_TYPE_ID_BLOCK(troupe_account)
