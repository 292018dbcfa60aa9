#pragma once

// Log lines are for the person at 3 a.m.: what happened, to whom (job, account, node), what to do.

#include <spdlog/spdlog.h>

#include <string>

namespace troupe {

/// Sets the process's log: to stderr, one line an event (a control character in its words is a '?'), time in UTC.
/// `level` is trace, debug, info, warn, error or off.
void start_log(const std::string& process, const std::string& level);

namespace log = spdlog;

} // namespace troupe
