#pragma once

#include <string>

namespace troupe::app {

/// `troupe admin ledger verify`: audits the books of a data directory, whether a head has it open or not, writes
/// nothing, prints a short table, and returns exit_ok when every balance is right.
int verify_ledger(const std::string& data);

} // namespace troupe::app
