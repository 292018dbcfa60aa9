#pragma once

#include "http/message.hpp"

#include <cstdint>
#include <optional>

namespace troupe::http {

/// The id after which a client wants an event stream to go on: its Last-Event-ID (HTML standard, 9.2.4), or the query's
/// `last_event_id` for clients that cannot set headers. nullopt: it said none. What is no id of ours is 0, the
/// beginning: told twice is better than not told.
std::optional<std::uint64_t> resume_after(const request& r);

} // namespace troupe::http
