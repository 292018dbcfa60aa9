#pragma once

#include "http/authentication.hpp"
#include "http/bridge/head.hpp"

#include <mutex>
#include <unordered_map>

namespace troupe::http {

/// Finds out who a key or a session is, from the durable rows: what an account's actor has revoked is dead at once, as
/// what is remembered of rows counts only as long as no row of their tables has changed. Rows are found by the keyed
/// hash of what was presented: how long a search takes tells nothing of a secret.
class store_authenticator final : public authenticator {
public:
  explicit store_authenticator(const head& h) : head_(h) {}
  asio::awaitable<result<std::optional<identity>>> authenticate(const request& r) override;

private:
  /// What a row of keys or sessions, and that of its account, say.
  struct holder {
    std::optional<identity> who; // none: it is no good
    timestamp ends = 0;          // 0: never
  };
  struct remembered {
    holder what;
    std::uint64_t door = 0, accounts = 0; // versions of the tables
  };
  std::optional<identity> by_key(const std::string& key);
  std::optional<identity> by_session(const std::string& token);
  holder holder_of(storage::table door, const std::string& hash);
  holder read_key(const std::string& hash);
  holder read_session(const std::string& hash);
  std::optional<identity> account_identity(const std::string& account);
  void note_use(const identity& who);
  /// A session that is used lives on; its account is told now and then.
  void extend(const identity& who, timestamp expires_at);
  /// True when `what` was not done for so long; at most one caller hears it.
  bool due(const std::string& what, timestamp now, timestamp every_ms);

  const head& head_;
  std::mutex mutex_;
  std::unordered_map<std::string, timestamp> noted_; // key id or session hash → when its account was last told
  std::mutex holders_mutex_;
  std::unordered_map<std::string, remembered> holders_; // by hash; of good keys and sessions only
};

} // namespace troupe::http
