#include "actors/account/audit.hpp"

#include "common/check.hpp"
#include "common/random.hpp"
#include "storage/database.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace troupe {

using storage::table;

const std::vector<std::string>& audit_kinds() {
  static const std::vector<std::string> kinds{
      "account_changed",    "account_deleted",  "account_exported", "credits_granted",      "email_change_asked",
      "email_changed",      "key_changed",      "key_created",      "key_revoked",          "login",
      "login_failed",       "logout",           "node_added",       "node_key_changed",     "node_removed",
      "node_state_changed", "password_changed", "password_failed",  "password_reset",       "refund",
      "reset_asked",        "sessions_ended",   "signup",           "subscription_changed", "workflows_reloaded",
  };
  return kinds;
}

std::string audit_key_at(timestamp at) {
  std::array<char, 17> out{};
  std::snprintf(out.data(), out.size(), "%012llx", static_cast<unsigned long long>(std::max<timestamp>(at, 0)));
  return out.data();
}

std::vector<storage::row> audit_rows(const std::string& kind, const std::string& account, const asker& who,
                                     timestamp at, json details) {
  TROUPE_CHECK(std::binary_search(audit_kinds().begin(), audit_kinds().end(), kind));
  auto key = audit_key_at(at) + random_hex(8);
  json entry = who;
  entry["by"] = std::move(entry["account"]);
  entry["account"] = account;
  entry["kind"] = kind;
  entry["at"] = at;
  if (!details.empty())
    entry["details"] = std::move(details);
  std::vector<storage::row> out;
  out.push_back({table::audit, key, pack(entry), true});
  if (!account.empty())
    out.push_back({table::account_audit, storage::key_of(account, key), std::string{}, false});
  if (!who.account.empty() && who.account != account)
    out.push_back({table::account_audit, storage::key_of(who.account, key), std::string{}, false});
  return out;
}

void add_audit(std::vector<storage::row>& to, const std::string& kind, const std::string& account, const asker& who,
               timestamp at, json details) {
  auto rows = audit_rows(kind, account, who, at, std::move(details));
  std::move(rows.begin(), rows.end(), std::back_inserter(to));
}

} // namespace troupe
