#pragma once

#include "actors/address_book.hpp"
#include "actors/base/persistent.hpp"
#include "actors/subscription/subscription_core.hpp"
#include "actors/subscription/subscription_messages.hpp"

namespace troupe {

/// The SUBSCRIPTION of one account: the only one that changes an account's tier because of money. What a report changes
/// is durable first, together with a row that says that the account has yet to be told; then the account is told, and
/// that is noted. So a crash anywhere between is made good by whoever looks at the rows that are due, and giving a tier
/// that the account has already changes nothing.
class subscription_actor final : public persistent<subscription::subscription_core> {
public:
  subscription_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, address_book_ptr others,
                     std::string account, storage::replayed past);
  caf::behavior make_behavior() override;

protected:
  bool may_sleep() const override { return askers_.empty() && !giving_; }

private:
  caf::result<subscription_view> take(report_subscription& said);
  caf::result<subscription_view> pass(pass_time& now);

  caf::result<subscription_view> record(std::optional<subscription::became> next, std::vector<storage::row> rows,
                                        timestamp at);
  void give_tier(timestamp at);
  void tier_is_given(const std::string& tier, timestamp at);
  void answer_all(const caf::error& why);
  subscription_view view(bool changed) const;
  void add_rows(storage::batch& into);
  timestamp due() const;

  address_book_ptr others_;
  timestamp due_written_ = 0; // of the row in subscription_due; 0: there is none
  bool giving_ = false;
  std::vector<std::pair<caf::typed_response_promise<subscription_view>, bool>> askers_; // and whether it changed
};

} // namespace troupe
