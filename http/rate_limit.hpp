#pragma once

#include "common/clock.hpp"
#include "http/endpoint.hpp"

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace troupe::http {

/// How many requests in a window; 0 = no limit.
struct rate_limits {
  std::int64_t spend_per_user_minute = 10;
  std::int64_t payments_per_user_minute = 10;
  std::int64_t login_per_address_5min = 10;
  std::int64_t signup_per_address_hour = 5;
  std::int64_t per_key_minute = 60; ///< families other than studio, unless the key has its own
  std::int64_t per_address_10min = 5'000;
  std::size_t counters_max = 200'000; ///< who is counted at one time; beyond, the one who came first is forgotten
};

/// What a limiter says to one request.
struct rate_verdict {
  bool allowed = true;
  std::int64_t limit = 0; ///< 0: none applies
  std::int64_t remaining = 0;
  std::int64_t reset_s = 0; ///< whole seconds until the window ends
};

/// A counter that outlives a restart, see limit_keeper.
struct kept_window {
  std::string who; ///< what it counts: the kind's letter and the subject
  timestamp ends = 0;
  std::int64_t seen = 0;
};

/// Counts requests in fixed windows that begin with the first one counted. In memory; what counts spending, payments,
/// logins and signups is told to whoever keeps it. Thread-safe.
class rate_limiter {
public:
  explicit rate_limiter(rate_limits limits) : limits_(limits) {}

  /// Counts a request of `subject` (an account, a key, an address) against the limit of its class.
  rate_verdict count(rate_class c, std::string_view subject, timestamp now);
  /// Against the limit per key: `own` is the key's, if it has one.
  rate_verdict count_key(std::string_view key, std::optional<std::int64_t> own, timestamp now);
  /// Against the limit over all of an address; IPv6 counts by /64.
  rate_verdict count_address(std::string_view address, timestamp now);

  /// A request of spend or payment was refused for its form: it does not count after all.
  rate_verdict give_back(rate_class c, std::string_view subject, timestamp now);

  /// Counters to keep that have changed since they were last told, at most so many.
  std::vector<kept_window> changed(std::size_t most);
  /// Goes on counting where an earlier process was; what is over, or not ours, is left out.
  void restore(const kept_window& kept, timestamp now);

  std::size_t counters() const;

private:
  struct window {
    std::string who;
    timestamp ends = 0;
    std::int64_t seen = 0;
    bool told = true; // not among those that changed
  };
  rate_verdict count(char kind, std::string_view subject, std::int64_t limit, std::int64_t window_ms, timestamp now);

  rate_limits limits_;
  mutable std::mutex mutex_;
  std::list<window> windows_; // in the order in which they began
  std::unordered_map<std::string, std::list<window>::iterator> by_who_;
  std::vector<std::string> changed_;
  void note(window& w);
};

} // namespace troupe::http
