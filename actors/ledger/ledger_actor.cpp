#include "actors/ledger/ledger_actor.hpp"

namespace troupe {

ledger_actor::ledger_actor(caf::actor_config& config, actor_board& board, storage::journal& journal,
                           std::string account, storage::replayed past, std::uint64_t last_feed_id)
  : persistent(config, board, journal, actor_kind::ledger, std::move(account), std::move(past)),
    next_feed_id_(last_feed_id + 1) {
  snapshot_every_ = 256;
}

caf::behavior ledger_actor::make_behavior() {
  if (!restore())
    return {};
  return {
      on(&ledger_actor::book_all),     on(&ledger_actor::read),         on(&ledger_actor::inspect_self),
      on(&ledger_actor::on_committed), on(&ledger_actor::on_passivate),
  };
}

caf::result<booked> ledger_actor::book_all(book& request) {
  std::vector<ledger::transfer> asked;
  for (auto& m : request.movements)
    asked.push_back({m.kind, m.amount, m.job, m.stage, m.period, m.note});
  auto verdict = core_.decide(asked, request.at);
  if (auto why = std::get_if<ledger::refusal_reason>(&verdict)) {
    using code = ledger::refusal_reason::code;
    if (why->why == code::insufficient)
      return refuse(refusal::insufficient_credits, why->message,
                    {{"cost", (why->cost + micro_per_credit - 1) / micro_per_credit},
                     {"balance", why->balance / micro_per_credit}});
    return refuse(why->why == code::invalid ? refusal::invalid : refusal::conflict, why->message);
  }
  auto batch = std::move(request.attached);
  evolve_into(std::get<0>(verdict), batch);
  booked answer{core_.balance(ledger::account_book::wallet), core_.balance(ledger::account_book::held), 0};
  if (!request.feed.empty()) {
    answer.first_feed_id = next_feed_id_;
    next_feed_id_ += request.feed.size();
    batch.feeds.push_back({account_id{id()}, answer.first_feed_id, std::move(request.feed)});
  }
  auto promise = make_response_promise<booked>();
  commit(std::move(batch), [promise, answer](storage::commit_status status) mutable {
    if (status == storage::commit_status::ok)
      promise.deliver(std::move(answer));
    else if (status == storage::commit_status::exists)
      promise.deliver(refuse(refusal::exists, "that name is taken"));
    else
      promise.deliver(
          refuse(refusal::unavailable, std::string{"the journal did not take it: "} + storage::to_string(status)));
  });
  return promise;
}

caf::result<books> ledger_actor::read(read_books&) {
  using ledger::account_book;
  books answer{core_.balance(account_book::wallet), core_.balance(account_book::held),
               core_.balance(account_book::revenue), -core_.balance(account_book::grants)};
  if (idle())
    return answer;
  auto promise = make_response_promise<books>(); // memory may be ahead of the disk: answer when it is not
  commit({}, [promise, answer](storage::commit_status status) mutable {
    if (status == storage::commit_status::ok)
      promise.deliver(std::move(answer));
    else
      promise.deliver(refuse(refusal::unavailable, "the balance is not durable yet"));
  });
  return promise;
}

} // namespace troupe
