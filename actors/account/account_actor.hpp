#pragma once

#include "actors/account/account_core.hpp"
#include "actors/account/account_messages.hpp"
#include "actors/account/admin_roll.hpp"
#include "actors/base/persistent.hpp"

namespace troupe {

/// The ACCOUNT of one user: the only actor that may change who it is, what it may do and what opens it. Each change
/// that matters to security takes its row of the audit log along in the same batch.
///
/// account_actor.cpp has the account, keys and sessions; account_security.cpp passwords, mailed tokens, the profile and
/// the end; account_views.cpp what others see.
class account_actor final : public persistent<account::account_core> {
public:
  account_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, admin_roll& admins,
                std::string account, storage::replayed past);
  caf::behavior make_behavior() override;

protected:
  json state_json() const override { return core_.public_json(); }

private:
  /// What becomes of the account's place on the roll of admins.
  enum class roll { stays, enters, leaves };
  /// What one command makes durable.
  struct change_set {
    std::vector<event> events;
    std::vector<storage::row> rows;
    roll on_roll = roll::stays;
  };

  caf::result<account_view> create(create_account& request);
  caf::result<account_view> describe(describe_account& request);
  caf::result<credentials> reveal(read_credentials& request);
  caf::result<account_view> open(open_session& request);
  caf::result<account_view> extend(extend_session& request);
  caf::result<account_view> close(close_session& request);
  caf::result<account_view> end_some(end_sessions& request);
  caf::result<key_view> add_key(create_key& request);
  caf::result<key_view> alter_key(change_key& request);
  caf::result<key_view> end_key(revoke_key& request);
  caf::result<key_view> note_key(use_key& request);
  caf::result<account_view> change(change_account& request);
  caf::result<account_view> new_password(set_password& request);
  caf::result<account_view> send_token(issue_token& request);
  caf::result<account_view> use_token(redeem_token& request);
  caf::result<account_view> alter_profile(change_profile& request);
  caf::result<account_view> erase(delete_account& request);
  caf::result<account_view> note(note_security& request);

  account_view view() const;
  key_view view_of(const std::string& key) const;
  /// The rows that views read: who the account is, a session, what a key opens and on which terms.
  storage::row summary() const;
  storage::row session_row(const std::string& hash, timestamp expires_at) const;
  storage::row key_row(const std::string& hash, const key_view& key) const;

  void close_sessions(change_set& out, const std::vector<std::string>& hashes, timestamp at) const;
  void end_tokens(change_set& out, const std::vector<std::string>& hashes, timestamp at) const;

  /// Puts the account on the roll of admins, or takes it off. False: it is the last one, see last_admin().
  bool keep_roll(change_set& out, bool acts_as_admin);
  static caf::error last_admin();

  /// Makes events and rows durable, then answers: with `reply`, or with the account as it is then. `erasing`: the
  /// events of before are erased in the same batch.
  template <class Reply>
  caf::result<Reply> record(change_set what, Reply reply, bool erasing = false);

  admin_roll& admins_;
};

template <class Reply>
caf::result<Reply> account_actor::record(change_set what, Reply reply, bool erasing) {
  storage::batch batch;
  batch.rows = std::move(what.rows);
  evolve_into(what.events, batch);
  if (erasing) {
    erase_past_into(batch);
    batch.erasures.push_back({storage::erasure::part::log, id()}); // what streams told of its jobs
  }
  if constexpr (std::is_same_v<Reply, account_view>) {
    if (core_.exists() && !what.events.empty())
      batch.rows.push_back(summary());
    reply = view();
  }
  auto promise = make_response_promise<Reply>();
  commit(std::move(batch), [this, promise, on_roll = what.on_roll, reply = std::move(reply)](auto status) mutable {
    if (on_roll == (status == storage::commit_status::ok ? roll::enters : roll::leaves))
      admins_.enter(id());
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

} // namespace troupe
