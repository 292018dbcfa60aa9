#include "actors/account/account_actor.hpp"

namespace troupe {

using storage::row;
using storage::table;

account_actor::account_actor(caf::actor_config& config, actor_board& board, storage::journal& journal,
                             admin_roll& admins, std::string account, storage::replayed past)
  : persistent(config, board, journal, actor_kind::account, std::move(account), std::move(past)), admins_(admins) {
  snapshot_every_ = 128;
}

caf::behavior account_actor::make_behavior() {
  if (!restore())
    return {};
  return {
      on(&account_actor::create),        on(&account_actor::describe),     on(&account_actor::reveal),
      on(&account_actor::open),          on(&account_actor::extend),       on(&account_actor::close),
      on(&account_actor::end_some),      on(&account_actor::add_key),      on(&account_actor::alter_key),
      on(&account_actor::end_key),       on(&account_actor::note_key),     on(&account_actor::change),
      on(&account_actor::new_password),  on(&account_actor::send_token),   on(&account_actor::use_token),
      on(&account_actor::alter_profile), on(&account_actor::erase),        on(&account_actor::note),
      on(&account_actor::inspect_self),  on(&account_actor::on_committed), on(&account_actor::on_passivate),
  };
}

caf::result<account_view> account_actor::create(create_account& r) {
  if (!core_.id.empty())
    return refuse(refusal::exists, "the account is there already");
  change_set out;
  out.events.push_back(account::created{r.account, r.username, r.password_hash, r.role, r.tier, r.at});
  out.rows.push_back({table::usernames, r.username, pack(r.account), true});
  keep_roll(out, r.role == "admin");
  add_audit(out.rows, "signup", r.account, r.who, r.at, {{"role", r.role}, {"tier", r.tier}});
  return record(std::move(out), account_view{});
}

caf::result<account_view> account_actor::describe(describe_account&) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  return view();
}

caf::result<credentials> account_actor::reveal(read_credentials&) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  return credentials{core_.password_hash, core_.disabled};
}

// -- sessions ---------------------------------------------------------------------------------------------------------

caf::result<account_view> account_actor::open(open_session& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  // The password was checked a moment ago, elsewhere: it may have been changed since.
  if (core_.disabled || (!r.verified.empty() && r.verified != core_.password_hash))
    return refuse(refusal::forbidden, "the account was changed meanwhile");
  change_set out;
  close_sessions(out, core_.sessions_to_end(r.at), r.at);
  out.events.push_back(account::session_opened{r.token_hash, r.at, r.expires_at, r.who.address, r.user_agent});
  out.rows.push_back(session_row(r.token_hash, r.expires_at));
  add_audit(out.rows, "login", id(), r.who, r.at, {{"session", account::session_name(r.token_hash)}});
  return record(std::move(out), account_view{});
}

caf::result<account_view> account_actor::extend(extend_session& r) {
  change_set out;
  if (core_.exists() && core_.has_session(r.token_hash)) {
    out.events.push_back(account::session_extended{r.token_hash, r.at, r.expires_at});
    out.rows.push_back(session_row(r.token_hash, r.expires_at));
  }
  return record(std::move(out), account_view{});
}

caf::result<account_view> account_actor::close(close_session& r) {
  change_set out;
  if (core_.has_session(r.token_hash)) {
    close_sessions(out, {r.token_hash}, r.at);
    add_audit(out.rows, "logout", id(), r.who, r.at, {{"session", account::session_name(r.token_hash)}});
  }
  return record(std::move(out), account_view{});
}

caf::result<account_view> account_actor::end_some(end_sessions& r) {
  auto ended = core_.sessions_named(r.id, r.kept);
  if (ended.empty() && !r.id.empty())
    return refuse(refusal::not_found, "no such session");
  change_set out;
  close_sessions(out, ended, r.at);
  if (r.id.empty()) // who ends all others fears a stranger, who may have asked for another address
    end_tokens(out, core_.tokens_to_end("email", r.at), r.at);
  if (!ended.empty())
    add_audit(out.rows, "sessions_ended", id(), r.who, r.at, {{"count", ended.size()}});
  return record(std::move(out), account_view{});
}

void account_actor::close_sessions(change_set& out, const std::vector<std::string>& hashes, timestamp at) const {
  for (const auto& hash : hashes) {
    out.events.push_back(account::session_closed{hash, at});
    out.rows.push_back({table::sessions, hash, std::nullopt, false});
  }
}

// -- API keys ---------------------------------------------------------------------------------------------------------

caf::result<key_view> account_actor::add_key(create_key& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  if (core_.active_keys() >= core_.bounds.active_keys_max)
    return refuse(refusal::conflict, "at most " + std::to_string(core_.bounds.active_keys_max) +
                                         " API keys can be active; revoke one first");
  key_view made{r.key, r.name, r.family, r.prefix, r.last4, r.at, 0, true, false, r.terms};
  change_set out;
  out.events.push_back(account::key_created{r.key, r.name, r.family, r.prefix, r.last4, r.key_hash, r.at, r.terms});
  out.rows.push_back(key_row(r.key_hash, made));
  out.rows.back().only_if_absent = true;
  std::move(r.rows.begin(), r.rows.end(), std::back_inserter(out.rows));
  add_audit(out.rows, "key_created", id(), r.who, r.at, {{"key", r.key}, {"terms", r.terms}});
  return record(std::move(out), std::move(made));
}

caf::result<key_view> account_actor::alter_key(change_key& r) {
  auto found = core_.find_key(r.key);
  if (found == nullptr)
    return refuse(refusal::not_found, "no such API key");
  if (found->revoked_at != 0)
    return refuse(refusal::conflict, "a revoked API key stays revoked");
  auto after = view_of(r.key);
  after.name = r.changes.value("name", after.name);
  after.is_active = r.changes.value("is_active", after.is_active);
  after.terms.scopes = r.changes.value("scopes", after.terms.scopes);
  after.terms.expires_at = r.changes.value("expires_at", after.terms.expires_at);
  after.terms.per_minute = r.changes.value("per_minute", after.terms.per_minute);
  after.terms.spend_limit = r.changes.value("spend_limit", after.terms.spend_limit);
  change_set out;
  out.rows.push_back(key_row(found->hash, after));
  out.events.push_back(account::key_changed{r.key, after.name, !after.is_active, after.terms, r.at});
  add_audit(out.rows, "key_changed", id(), r.who, r.at,
            {{"key", r.key}, {"active", after.is_active}, {"terms", after.terms}});
  return record(std::move(out), std::move(after));
}

caf::result<key_view> account_actor::end_key(revoke_key& r) {
  auto found = core_.find_key(r.key);
  if (found == nullptr)
    return refuse(refusal::not_found, "no such API key");
  change_set out;
  out.rows.push_back({table::api_keys, found->hash, std::nullopt, false});
  if (found->revoked_at == 0) {
    out.events.push_back(account::key_revoked{r.key, r.at});
    add_audit(out.rows, "key_revoked", id(), r.who, r.at, {{"key", r.key}});
  }
  auto after = view_of(r.key);
  after.is_active = false;
  after.revoked = true;
  return record(std::move(out), std::move(after));
}

caf::result<key_view> account_actor::note_key(use_key& r) {
  if (core_.find_key(r.key) == nullptr)
    return refuse(refusal::not_found, "no such API key");
  if (!core_.worth_noting(r.key, r.at))
    return view_of(r.key);
  auto after = view_of(r.key);
  after.last_used = r.at;
  change_set out;
  out.events.push_back(account::key_used{r.key, r.at});
  return record(std::move(out), std::move(after));
}

// -- by an admin ------------------------------------------------------------------------------------------------------

caf::result<account_view> account_actor::change(change_account& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  change_set out;
  const auto& role = r.role.empty() ? core_.role : r.role;
  auto disabled = r.disabled.empty() ? core_.disabled : r.disabled == "yes";
  if (!keep_roll(out, role == "admin" && !disabled))
    return last_admin();
  out.events.push_back(account::changed{r.by, r.tier, r.role, r.disabled, r.reason, r.at});
  json details = json::object();
  const std::pair<const char*, const std::string&> said[] = {
      {"tier", r.tier}, {"role", r.role}, {"disabled", r.disabled}, {"reason", r.reason}};
  for (const auto& [name, value] : said)
    if (!value.empty())
      details[name] = value;
  add_audit(out.rows, "account_changed", id(), r.who, r.at, std::move(details));
  return record(std::move(out), account_view{});
}

bool account_actor::keep_roll(change_set& out, bool acts_as_admin) {
  if (acts_as_admin == core_.acts_as_admin())
    return true;
  if (!acts_as_admin && !admins_.leave(id()))
    return false;
  out.on_roll = acts_as_admin ? roll::enters : roll::leaves;
  auto there = acts_as_admin ? std::optional<std::string>{std::in_place} : std::nullopt;
  out.rows.push_back({table::admins, id(), std::move(there), false});
  return true;
}

caf::error account_actor::last_admin() {
  return refuse(refusal::conflict, "This is the last admin who can act: make another one first");
}

} // namespace troupe
