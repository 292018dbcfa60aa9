#pragma once

#include "http/rate_limit.hpp"
#include "storage/database.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace troupe::http {

/// Keeps the counters of a rate limiter in the database, in the background: nobody waits for them. A crash forgets what
/// was counted in the last half second, which lets a few more requests through; the money they spend is the ledger's,
/// which forgets nothing. Owns a thread.
class limit_keeper {
public:
  /// Restores what was kept. Both must outlive it.
  limit_keeper(rate_limiter& limiter, storage::database& database);
  /// Keeps what has changed.
  ~limit_keeper();

private:
  void restore();
  void run();
  void keep();
  void forget();

  rate_limiter& limiter_;
  storage::database& database_;
  std::mutex mutex_;
  std::condition_variable bell_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace troupe::http
