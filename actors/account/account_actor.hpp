#pragma once

#include "actors/account/account_core.hpp"
#include "actors/account/account_messages.hpp"
#include "actors/base/persistent.hpp"

namespace troupe {

/// The ACCOUNT of one user: the only actor that may change who it is, what it may do and which keys open it.
class account_actor final : public persistent<account::account_core> {
public:
  account_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, std::string account,
                storage::replayed past);
  caf::behavior make_behavior() override;

protected:
  json state_json() const override { return core_.public_json(); }

private:
  caf::result<account_view> create(create_account& request);
  caf::result<account_view> describe(describe_account& request);
  caf::result<credentials> reveal(read_credentials& request);
  caf::result<account_view> open(open_session& request);
  caf::result<account_view> close(close_session& request);
  caf::result<key_view> add_key(create_key& request);
  caf::result<key_view> end_key(revoke_key& request);
  caf::result<key_view> note_key(use_key& request);
  caf::result<account_view> change(change_account& request);

  account_view view() const;
  key_view view_of(const std::string& key) const;
  /// The row that views read: who the account is.
  storage::row summary() const;

  /// Makes events and rows durable, then answers with what `reply` says at that time.
  template <class Reply>
  caf::result<Reply> record(const std::vector<event>& events, std::vector<storage::row> rows, Reply reply);
};

} // namespace troupe
