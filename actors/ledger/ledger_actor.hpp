#pragma once

#include "actors/base/persistent.hpp"
#include "actors/ledger/ledger_core.hpp"
#include "actors/ledger/ledger_messages.hpp"

namespace troupe {

/// The LEDGER of one account: the only actor that may move its money or write its event log. Its rules are in
/// ledger_core, its durability in persistent<>; here is only which message goes where.
class ledger_actor final : public persistent<ledger::ledger_core> {
public:
  /// `last_feed_id`: the id of the last entry in the account's log.
  ledger_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, std::string account,
               storage::replayed past, std::uint64_t last_feed_id);
  caf::behavior make_behavior() override;

private:
  caf::result<booked> book_all(book& request);
  caf::result<books> read(read_books& request);

  std::uint64_t next_feed_id_;
};

} // namespace troupe
