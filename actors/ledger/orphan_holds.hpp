#pragma once

#include "common/clock.hpp"
#include "storage/database.hpp"

#include <string>
#include <vector>

namespace troupe::ledger {

struct orphan_hold {
  std::string account, job;
};

/// Holds that were made before `made_before` and whose job is not open: nobody will charge or release them. At most
/// `count`. Hold and open job are written in one batch, and so are their ends, so a job that works is never among them.
std::vector<orphan_hold> orphan_holds(const storage::database& from, timestamp made_before, std::size_t count);

} // namespace troupe::ledger
