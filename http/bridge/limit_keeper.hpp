#pragma once

#include "common/periodic.hpp"
#include "http/rate_limit.hpp"
#include "storage/database.hpp"

#include <optional>

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
  void keep();
  void forget();

  rate_limiter& limiter_;
  storage::database& database_;
  int turns_ = 0; // the thread's own
  std::optional<periodic> thread_;
};

} // namespace troupe::http
