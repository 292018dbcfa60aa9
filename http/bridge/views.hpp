#pragma once

// Durable rows as handlers read them: without asking an actor.

#include "common/clock.hpp"
#include "common/json.hpp"
#include "common/money.hpp"
#include "http/message.hpp"
#include "storage/database.hpp"

#include <optional>
#include <string>
#include <vector>

namespace troupe::http {

/// A row's value; nothing when there is none, or none that can be read.
std::optional<json> read_row(const storage::database& database, storage::table in, const std::string& key);

/// A job of this account; nothing when there is none, or it is someone else's: nobody learns which.
std::optional<json> read_job(const storage::database& database, const std::string& account, const std::string& job);

/// "alice" for what someone typed: trimmed and in lower case; nothing when no user could have that name.
std::optional<std::string> canonical_username(const std::string& typed);

/// Names that nobody gets by signing up: those that sound like the operator, and what looks like an account's id.
bool reserved_username(const std::string& canonical);

/// An account's id by its user name.
std::optional<std::string> find_account(const storage::database& database, const std::string& username);

/// Whole credits, rounded down: what a wallet shows.
inline std::int64_t whole_credits(micro_credits amount) { return amount / micro_per_credit; }

/// What the studio API calls a state: processing, completed, error.
std::string studio_status(const std::string& status);

/// The file name of a job's result; empty when it has none (yet). Videos come first.
std::string main_file(const json& job);

} // namespace troupe::http
