#pragma once

// The rules of an account: pure, rebuilt from its events.

#include "actors/account/account_events.hpp"

#include <map>

namespace troupe::account {

struct limits {
  std::size_t active_keys_max = 50;
  std::size_t keys_max = 500; // ended ones included: the longest ended is forgotten
  std::size_t sessions_max = 20;
  std::size_t tokens_max = 3; // of a kind at one time: who asks again and again fills nobody's mailbox
  timestamp key_used_every_ms = 3'600'000;
};

struct key_record {
  std::string id, name, family, prefix, last4, hash;
  timestamp created_at = 0, last_used = 0, revoked_at = 0;
  bool paused = false;
  key_terms terms;
  /// It opens the account; it may have expired all the same.
  bool active() const { return revoked_at == 0 && !paused; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(key_record, id, name, family, prefix, last4, hash, created_at,
                                                last_used, revoked_at, paused, terms)

struct session_record {
  timestamp opened_at = 0, expires_at = 0, extended_at = 0;
  std::string address, user_agent;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(session_record, opened_at, expires_at, extended_at, address, user_agent)

struct token_record {
  std::string kind, email;
  timestamp expires_at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(token_record, kind, email, expires_at)

/// What people call a session: the beginning of its hash, which opens nothing.
inline std::string session_name(const std::string& hash) { return hash.substr(0, 16); }

class account_core {
public:
  using event = account::event;

  bool exists() const { return !id.empty() && deleted_at == 0; }
  bool acts_as_admin() const { return exists() && role == "admin" && !disabled; }
  void evolve(const event& happened);

  /// Sessions that must go so that another may come: those that have expired, and the oldest beyond the limit.
  std::vector<std::string> sessions_to_end(timestamp at) const;
  /// Sessions to end by their owner's wish: the one of that name, or all when it is empty, but never `kept`.
  std::vector<std::string> sessions_named(const std::string& name, const std::string& kept) const;
  std::size_t active_keys() const;
  const key_record* find_key(const std::string& key) const;
  /// The key was last noted so long ago that a use is worth an event.
  bool worth_noting(const std::string& key, timestamp at) const;
  bool has_session(const std::string& hash) const { return sessions_.contains(hash); }
  /// A token that was issued, not used, and has not expired.
  const token_record* live_token(const std::string& kind, const std::string& hash, timestamp at) const;
  /// No more may go out now: enough of that kind are on their way.
  bool enough_tokens(const std::string& kind, timestamp at) const;
  /// Those that end when one of that kind is used (`kind` empty: of any), or at that time by themselves.
  std::vector<std::string> tokens_to_end(const std::string& kind, timestamp at) const;

  /// With the hashes: for snapshots, never for people.
  json to_json() const;
  static account_core from_json(const json& state);
  /// Without them.
  json public_json() const;

  /// Aborts when a promise is broken: 1. an account that exists has a name, a role and a tier; 2. a key's id is its
  /// place in the list; 3. there are never more sessions or tokens than the limit; 4. of a deleted account nothing
  /// personal is left.
  void check_invariants() const;

  std::string id, username, email, password_hash, role, tier;
  bool disabled = false;
  timestamp created_at = 0, deleted_at = 0;
  account::profile profile;
  limits bounds;

  const std::map<std::string, key_record>& keys() const { return keys_; }
  const std::map<std::string, session_record>& sessions() const { return sessions_; }
  const std::map<std::string, token_record>& tokens() const { return tokens_; }

private:
  void on(const created& e);
  void on(const key_created& e);
  void on(const key_changed& e);
  void on(const key_used& e);
  void on(const key_revoked& e);
  void on(const session_opened& e);
  void on(const session_extended& e);
  void on(const session_closed& e);
  void on(const changed& e);
  void on(const password_changed& e);
  void on(const email_changed& e);
  void on(const profile_changed& e);
  void on(const token_issued& e);
  void on(const token_ended& e);
  void on(const deleted& e);

  std::map<std::string, key_record> keys_;
  std::map<std::string, session_record> sessions_; // by the hash of the token
  std::map<std::string, token_record> tokens_;     // by the hash of the token
};

} // namespace troupe::account
