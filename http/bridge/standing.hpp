#pragma once

// Whether somebody who was let in may stay: for answers that do not end.

#include "http/bridge/head.hpp"
#include "http/message.hpp"

namespace troupe::http {

/// How many milliseconds the key or session that `who` came with still opens the account; 0: it was revoked, has
/// expired, or the account is disabled or gone. At most a day: look again then.
std::int64_t standing(const head& h, const identity& who);

/// Whoever ends a key, a session or an account calls this once it is durable: open streams look at their standing.
void tell_streams(const head& h, const std::string& account);

/// Who asks, for the audit log.
asker asker_of(const request& r);

} // namespace troupe::http
