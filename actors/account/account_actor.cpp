#include "actors/account/account_actor.hpp"

namespace troupe {

using storage::row;
using storage::table;

account_actor::account_actor(caf::actor_config& config, actor_board& board, storage::journal& journal,
                             std::string account, storage::replayed past)
  : persistent(config, board, journal, actor_kind::account, std::move(account), std::move(past)) {
  snapshot_every_ = 128;
}

caf::behavior account_actor::make_behavior() {
  if (!restore())
    return {};
  return {
      on(&account_actor::create),       on(&account_actor::describe),     on(&account_actor::reveal),
      on(&account_actor::open),         on(&account_actor::close),        on(&account_actor::add_key),
      on(&account_actor::end_key),      on(&account_actor::note_key),     on(&account_actor::change),
      on(&account_actor::inspect_self), on(&account_actor::on_committed), on(&account_actor::on_passivate),
  };
}

template <class Reply>
caf::result<Reply> account_actor::record(const std::vector<event>& events, std::vector<row> rows, Reply reply) {
  storage::batch batch;
  batch.rows = std::move(rows);
  evolve_into(events, batch);
  if constexpr (std::is_same_v<Reply, account_view>) {
    batch.rows.push_back(summary());
    reply = view();
  }
  auto promise = make_response_promise<Reply>();
  commit(std::move(batch), [promise, reply = std::move(reply)](storage::commit_status status) mutable {
    if (status == storage::commit_status::ok)
      promise.deliver(std::move(reply));
    else if (status == storage::commit_status::exists)
      promise.deliver(refuse(refusal::exists, "that user name or address is taken"));
    else
      promise.deliver(
          refuse(refusal::unavailable, std::string{"the journal did not take it: "} + storage::to_string(status)));
  });
  return promise;
}

caf::result<account_view> account_actor::create(create_account& r) {
  if (core_.exists())
    return refuse(refusal::exists, "the account is there already");
  std::vector<row> rows{{table::usernames, r.username, pack(r.account), true}};
  if (!r.email.empty())
    rows.push_back({table::emails, r.email, pack(r.account), true});
  return record({account::created{r.account, r.username, r.email, r.password_hash, r.role, r.tier, r.at}},
                std::move(rows), account_view{});
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

caf::result<account_view> account_actor::open(open_session& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  std::vector<event> events;
  std::vector<row> rows;
  for (auto& ended : core_.sessions_to_end(r.at)) {
    rows.push_back({table::sessions, ended, std::nullopt, false});
    events.push_back(account::session_closed{ended, r.at});
  }
  events.push_back(account::session_opened{r.token_hash, r.at, r.expires_at});
  rows.push_back({table::sessions, r.token_hash, pack({{"account", id()}, {"expires_at", r.expires_at}}), false});
  return record(events, std::move(rows), account_view{});
}

caf::result<account_view> account_actor::close(close_session& r) {
  std::vector<event> events;
  if (core_.has_session(r.token_hash))
    events.push_back(account::session_closed{r.token_hash, r.at});
  return record(events, {{table::sessions, r.token_hash, std::nullopt, false}}, account_view{});
}

caf::result<key_view> account_actor::add_key(create_key& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  if (core_.active_keys() >= core_.bounds.active_keys_max)
    return refuse(refusal::queue_full, "at most " + std::to_string(core_.bounds.active_keys_max) +
                                           " API keys can be active; revoke one first");
  key_view made{r.key, r.name, r.family, r.prefix, r.last4, r.at, 0, true};
  return record({account::key_created{r.key, r.name, r.family, r.prefix, r.last4, r.key_hash, r.at}},
                {{table::api_keys, r.key_hash, pack({{"account", id()}, {"key", r.key}}), true}}, std::move(made));
}

caf::result<key_view> account_actor::end_key(revoke_key& r) {
  auto found = core_.find_key(r.key);
  if (found == nullptr)
    return refuse(refusal::not_found, "no such API key");
  auto hash = found->hash;
  std::vector<event> events;
  if (found->revoked_at == 0)
    events.push_back(account::key_revoked{r.key, r.at});
  auto after = view_of(r.key);
  after.is_active = false;
  return record(events, {{table::api_keys, hash, std::nullopt, false}}, std::move(after));
}

caf::result<key_view> account_actor::note_key(use_key& r) {
  if (core_.find_key(r.key) == nullptr)
    return refuse(refusal::not_found, "no such API key");
  if (!core_.worth_noting(r.key, r.at))
    return view_of(r.key);
  auto after = view_of(r.key);
  after.last_used = r.at;
  return record({account::key_used{r.key, r.at}}, {}, std::move(after));
}

caf::result<account_view> account_actor::change(change_account& r) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such account");
  return record({account::changed{r.by, r.tier, r.role, r.disabled, r.reason, r.at}}, {}, account_view{});
}

account_view account_actor::view() const {
  account_view out{core_.id, core_.username, core_.email, core_.role, core_.tier, core_.disabled, core_.created_at, {}};
  for (const auto& [key, record] : core_.keys())
    out.keys.push_back(view_of(key));
  return out;
}

key_view account_actor::view_of(const std::string& key) const {
  const auto& r = *core_.find_key(key);
  return {r.id, r.name, r.family, r.prefix, r.last4, r.created_at, r.last_used, r.revoked_at == 0};
}

row account_actor::summary() const {
  return {table::accounts, id(),
          pack({{"username", core_.username},
                {"email", core_.email},
                {"role", core_.role},
                {"tier", core_.tier},
                {"disabled", core_.disabled},
                {"created_at", core_.created_at}}),
          false};
}

} // namespace troupe
