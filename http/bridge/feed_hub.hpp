#pragma once

#include "common/ids.hpp"
#include "http/wakeup.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace troupe::http {

/// Wakes the event streams of an account when its log has grown. The log itself is the buffer: a stream reads it from
/// its own cursor, so a slow client loses nothing and costs no memory. Thread-safe.
class feed_hub {
  struct listener {
    explicit listener(std::shared_ptr<wakeup> rung) : bell(std::move(rung)) {}
    std::shared_ptr<wakeup> bell;
    std::atomic<bool> rights_changed{true};
  };

public:
  class subscription {
  public:
    subscription(feed_hub& hub, account_id account, std::shared_ptr<wakeup> bell)
      : hub_(hub), account_(std::move(account)), who_(std::make_shared<listener>(std::move(bell))) {
      hub_.add(account_, who_);
    }
    ~subscription() { hub_.remove(account_, who_); }
    /// Whether what the account's keys and sessions may do has changed since this was last asked; true at first.
    bool rights_changed() { return who_->rights_changed.exchange(false); }
    subscription(const subscription&) = delete;
    subscription& operator=(const subscription&) = delete;

  private:
    feed_hub& hub_;
    account_id account_;
    std::shared_ptr<listener> who_;
  };

  /// The log has grown. From the journal's thread.
  void publish(const account_id& account) { wake(account, false); }
  /// What the account's keys and sessions may do has changed, durably.
  void publish_rights(const account_id& account) { wake(account, true); }

private:
  void wake(const account_id& account, bool rights_changed) {
    std::lock_guard guard(mutex_);
    auto found = listeners_.find(account);
    if (found == listeners_.end())
      return;
    for (const auto& who : found->second) {
      if (rights_changed)
        who->rights_changed = true;
      who->bell->poke();
    }
  }
  void add(const account_id& account, const std::shared_ptr<listener>& who) {
    std::lock_guard guard(mutex_);
    listeners_[account].push_back(who);
  }
  void remove(const account_id& account, const std::shared_ptr<listener>& who) {
    std::lock_guard guard(mutex_);
    auto found = listeners_.find(account);
    if (found == listeners_.end())
      return;
    std::erase(found->second, who);
    if (found->second.empty())
      listeners_.erase(found);
  }

  std::mutex mutex_;
  std::unordered_map<account_id, std::vector<std::shared_ptr<listener>>> listeners_;
};

} // namespace troupe::http
