#pragma once

#include "storage/database.hpp"

#include <cstdio>

namespace troupe {

/// The key of a row of table subscription_due: sorts by time. `due` must not be negative.
inline std::string subscription_due_key(std::int64_t due, const std::string& account) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(due));
  return storage::key_of(digits, account);
}

} // namespace troupe
