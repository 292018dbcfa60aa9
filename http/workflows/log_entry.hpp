#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace troupe::http::workflows {

/// An entry of an account's log as an event stream tells it.
struct log_entry {
  std::string event; // its name
  std::string job;
  std::string data; // JSON text: the entry's data, and `job_id`
};

/// Reads what the job's actor wrote (docs/architecture.md), straight from MessagePack to JSON text: a stream tells far
/// more entries than it looks into. Nothing when it cannot be read.
std::optional<log_entry> read_log_entry(std::string_view record);

} // namespace troupe::http::workflows
