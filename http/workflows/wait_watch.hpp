#pragma once

#include "http/bridge/gateway.hpp"
#include "http/message.hpp"
#include "http/workflows/log_entry.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe::http::workflows {

/// How many streams of each account tell why stages wait: each of them asks its job, and that the scheduler, every two
/// seconds. Thread-safe; copies count together.
class watch_places {
public:
  static constexpr std::size_t of_account_max = 16;

  /// To be held while the stream is open; null: the account has as many as it may.
  std::shared_ptr<void> take(const std::string& account) const;

private:
  struct counts {
    std::mutex mutex;
    std::map<std::string, std::size_t> taken; // by account
  };
  std::shared_ptr<counts> counts_ = std::make_shared<counts>();
};

/// Tells one event stream why stages of its job wait, as `waiting` events: without an id, as they are of the moment and
/// in no log (docs/decisions/0033). While a stage waits it asks the job every two seconds; while none does, it asks
/// once after an entry that may have changed that. What is told of a stage is told again when it has changed.
class wait_watch {
public:
  static constexpr std::uint32_t stages_max = 64; // the first of those that wait, by index

  /// `place`: of the stream among those of its account.
  wait_watch(gateway& actors, std::string job, std::shared_ptr<void> place, std::int64_t look_every_ms = 2'000)
    : actors_(actors), job_(std::move(job)), place_(std::move(place)), look_every_ms_(look_every_ms) {}

  /// The stream has told this entry of the job's.
  void heard(const log_entry& entry);
  /// What is new, if it is time to look.
  asio::awaitable<std::vector<event>> look();
  /// Until it is time to look again; at most `at_most`. Milliseconds.
  std::int64_t time_left(std::int64_t at_most) const;

private:
  std::vector<event> changes(const json& waiting);

  gateway& actors_;
  std::string job_;
  std::shared_ptr<void> place_;
  std::int64_t look_every_ms_;
  bool may_wait_ = true;               // a stage waits, or may by now
  std::int64_t next_ms_ = 0;           // as steady_ms(): not before
  std::map<std::uint32_t, json> told_; // by stage, but for the estimate, which changes all the time
};

} // namespace troupe::http::workflows
