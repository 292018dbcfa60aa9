#pragma once

// Whether somebody who was let in may stay: for answers that do not end.

#include "http/bridge/head.hpp"
#include "http/message.hpp"

namespace troupe::http {

/// How many milliseconds the key or session that `who` came with still opens the account for what needs `scope`; 0: it
/// was revoked, has expired or lost the scope, the account is disabled or gone, or who was let in as an admin is none
/// any more. At most a day: look again then.
std::int64_t standing(const head& h, const identity& who, std::string_view scope = "read");

/// 403 for a key that is bound by scopes, an end or a spend limit: with what it asks for it could free itself. `what`
/// completes "cannot …".
std::optional<problem> refuse_bound(const request& r, const std::string& what);

/// 403 for a key that was not made to buy: one with a spend limit, or a bound one without the scope `account`.
std::optional<problem> refuse_buyer(const request& r);

/// Whoever ends a key, a session or an account calls this once it is durable: open streams look at their standing.
void tell_streams(const head& h, const std::string& account);

/// Who asks, for the audit log.
asker asker_of(const request& r);

} // namespace troupe::http
