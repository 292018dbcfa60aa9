#pragma once

// The audit log: who did what to whose account, from where. A row for each security or admin event, written in the same
// batch as what it tells; never changed, never deleted. GET /api/admin/audit reads it.

#include "common/clock.hpp"
#include "common/json.hpp"
#include "storage/journal.hpp"

#include <string>
#include <vector>

namespace troupe {

/// Who asks for a change. Nothing in it is secret.
struct asker {
  std::string account;    // who does it; empty: nobody who is logged in
  std::string via;        // "session", "key KEY-ID", "command line"; empty: neither
  std::string address;    // of the client
  std::string request_id; // its answer carried it as x-request-id
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(asker, account, via, address, request_id)

/// The rows of one event about `account` (empty: nobody known). `kind` is one of audit_kinds(). `details` never holds a
/// password, a token or a key.
std::vector<storage::row> audit_rows(const std::string& kind, const std::string& account, const asker& who,
                                     timestamp at, json details = json::object());

/// Appends them.
void add_audit(std::vector<storage::row>& to, const std::string& kind, const std::string& account, const asker& who,
               timestamp at, json details = json::object());

/// The first key that an event of that time can have.
std::string audit_key_at(timestamp at);

/// All kinds there are, in order of the alphabet.
const std::vector<std::string>& audit_kinds();

} // namespace troupe
