// Passwords, mailed tokens, the profile, and the end of an account.

#include "actors/account/account_actor.hpp"

namespace troupe {

using storage::row;
using storage::table;

caf::result<account_view> account_actor::new_password(set_password& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  if (r.verified != core_.password_hash)
    return refuse(refusal::conflict, "the password was changed meanwhile");
  change_set out;
  out.events.push_back(account::password_changed{r.password_hash, r.at});
  close_sessions(out, core_.sessions_named("", r.kept), r.at);
  // Whoever knew the old one may have asked for another address, with which the account could be taken back.
  end_tokens(out, core_.tokens_to_end("", r.at), r.at);
  add_audit(out.rows, "password_changed", id(), r.who, r.at);
  return record(std::move(out), account_view{});
}

caf::result<account_view> account_actor::send_token(issue_token& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  if (core_.disabled)
    return refuse(refusal::forbidden, "the account is disabled");
  if (core_.enough_tokens(r.kind, r.at))
    return refuse(refusal::queue_full, "enough mails are on their way; use the last one, or wait an hour");
  change_set out;
  for (const auto& [hash, token] : core_.tokens())
    if (token.expires_at <= r.at)
      end_tokens(out, {hash}, r.at);
  out.events.push_back(account::token_issued{r.kind, r.token_hash, r.email, r.at, r.expires_at});
  out.rows.push_back({table::account_tokens, r.token_hash,
                      pack({{"account", id()}, {"kind", r.kind}, {"expires_at", r.expires_at}}), true});
  add_audit(out.rows, r.kind == "email" ? "email_change_asked" : "reset_asked", id(), r.who, r.at);
  return record(std::move(out), account_view{});
}

caf::result<account_view> account_actor::use_token(redeem_token& r) {
  auto token = core_.exists() ? core_.live_token(r.kind, r.token_hash, r.at) : nullptr;
  if (token == nullptr)
    return refuse(refusal::not_found, "no such token");
  if (core_.disabled)
    return refuse(refusal::forbidden, "the account is disabled");
  change_set out;
  if (r.kind == "email") {
    if (token->email != core_.email) {
      out.rows.push_back({table::emails, token->email, pack(id()), true});
      if (!core_.email.empty())
        out.rows.push_back({table::emails, core_.email, std::nullopt, false});
    }
    out.events.push_back(account::email_changed{token->email, r.at});
    // Who holds the old mailbox, and a mail in it, could still take the account back.
    end_tokens(out, core_.tokens_to_end("", r.at), r.at);
  } else {
    out.events.push_back(account::password_changed{r.password_hash, r.at});
    close_sessions(out, core_.sessions_named("", ""), r.at);
    end_tokens(out, core_.tokens_to_end("", r.at), r.at);
  }
  add_audit(out.rows, r.kind == "email" ? "email_changed" : "password_reset", id(), r.who, r.at);
  return record(std::move(out), account_view{});
}

void account_actor::end_tokens(change_set& out, const std::vector<std::string>& hashes, timestamp at) const {
  for (const auto& hash : hashes) {
    out.events.push_back(account::token_ended{hash, at});
    out.rows.push_back({table::account_tokens, hash, std::nullopt, false});
  }
}

caf::result<account_view> account_actor::alter_profile(change_profile& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  auto now = core_.profile;
  now.display_name = r.changes.value("display_name", now.display_name);
  now.bio = r.changes.value("bio", now.bio);
  now.profile_public = r.changes.value("profile_public", now.profile_public);
  now.theme = r.changes.value("theme", now.theme);
  change_set out;
  if (!r.avatar.empty() && r.avatar_sha256 != now.avatar) {
    now.avatar = r.avatar_sha256;
    out.rows.push_back({table::avatars, id(), std::move(r.avatar), false});
  }
  if (now != core_.profile)
    out.events.push_back(account::profile_changed{std::move(now), r.at});
  return record(std::move(out), account_view{});
}

caf::result<account_view> account_actor::erase(delete_account& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  if (r.verified != core_.password_hash)
    return refuse(refusal::conflict, "the password was changed meanwhile");
  change_set out;
  out.rows = std::move(r.rows);
  if (!keep_roll(out, false))
    return last_admin();
  out.rows.push_back({table::accounts, id(), std::nullopt, false});
  out.rows.push_back({table::usernames, core_.username, std::nullopt, false});
  out.rows.push_back({table::avatars, id(), std::nullopt, false});
  out.rows.push_back({table::subscriptions, id(), std::nullopt, false});
  if (!core_.email.empty())
    out.rows.push_back({table::emails, core_.email, std::nullopt, false});
  for (const auto& [key, record] : core_.keys())
    out.rows.push_back({table::api_keys, record.hash, std::nullopt, false});
  for (const auto& [hash, session] : core_.sessions())
    out.rows.push_back({table::sessions, hash, std::nullopt, false});
  for (const auto& [hash, token] : core_.tokens())
    out.rows.push_back({table::account_tokens, hash, std::nullopt, false});
  out.events.push_back(account::deleted{r.at});
  add_audit(out.rows, "account_deleted", id(), r.who, r.at);
  return record(std::move(out), account_view{}, true);
}

caf::result<account_view> account_actor::note(note_security& r) {
  change_set out;
  add_audit(out.rows, r.kind, r.subject, r.who, r.at);
  return record(std::move(out), account_view{});
}

} // namespace troupe
