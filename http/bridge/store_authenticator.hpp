#pragma once

#include "http/authentication.hpp"
#include "http/bridge/head.hpp"

#include <mutex>
#include <unordered_map>

namespace troupe::http {

/// Finds out who a key or a session is, from the durable rows: what an account's actor has revoked is dead at once.
class store_authenticator final : public authenticator {
public:
  explicit store_authenticator(const head& h) : head_(h) {}
  asio::awaitable<result<std::optional<identity>>> authenticate(const request& r) override;

private:
  std::optional<identity> by_key(const std::string& key);
  std::optional<identity> by_session(const std::string& token);
  std::optional<identity> account_identity(const std::string& account);
  void note_use(const identity& who);

  const head& head_;
  std::mutex mutex_;
  std::unordered_map<std::string, timestamp> noted_; // key id → when its use was last told to its account
};

} // namespace troupe::http
