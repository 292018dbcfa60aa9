#pragma once

#include "common/ids.hpp"
#include "http/wakeup.hpp"

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace troupe::http {

/// Wakes the event streams of an account when its log has grown. The log itself is the buffer: a stream reads it from
/// its own cursor, so a slow client loses nothing and costs no memory. Thread-safe.
class feed_hub {
public:
  class subscription {
  public:
    subscription(feed_hub& hub, account_id account, std::shared_ptr<wakeup> bell)
      : hub_(hub), account_(std::move(account)), bell_(std::move(bell)) {
      hub_.add(account_, bell_);
    }
    ~subscription() { hub_.remove(account_, bell_); }
    subscription(const subscription&) = delete;
    subscription& operator=(const subscription&) = delete;

  private:
    feed_hub& hub_;
    account_id account_;
    std::shared_ptr<wakeup> bell_;
  };

  /// From the journal's thread.
  void publish(const account_id& account) {
    std::lock_guard guard(mutex_);
    if (auto found = bells_.find(account); found != bells_.end())
      for (const auto& bell : found->second)
        bell->poke();
  }

private:
  void add(const account_id& account, const std::shared_ptr<wakeup>& bell) {
    std::lock_guard guard(mutex_);
    bells_[account].push_back(bell);
  }
  void remove(const account_id& account, const std::shared_ptr<wakeup>& bell) {
    std::lock_guard guard(mutex_);
    auto found = bells_.find(account);
    if (found == bells_.end())
      return;
    std::erase(found->second, bell);
    if (found->second.empty())
      bells_.erase(found);
  }

  std::mutex mutex_;
  std::unordered_map<account_id, std::vector<std::shared_ptr<wakeup>>> bells_;
};

} // namespace troupe::http
