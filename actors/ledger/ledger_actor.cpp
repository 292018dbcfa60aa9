#include "actors/ledger/ledger_actor.hpp"

#include "storage/database.hpp"

namespace troupe {

namespace {

caf::error refused_for(const ledger::refusal_reason& why) {
  using code = ledger::refusal_reason::code;
  auto whole_cost = (why.cost + micro_per_credit - 1) / micro_per_credit;
  switch (why.why) {
    case code::insufficient:
      return refuse(refusal::insufficient_credits, why.message,
                    {{"cost", whole_cost}, {"balance", why.balance / micro_per_credit}});
    case code::key_limit:
      return refuse(refusal::spend_limit_exceeded, why.message,
                    {{"cost", whole_cost}, {"key_balance", why.balance / micro_per_credit}});
    case code::invalid: return refuse(refusal::invalid, why.message);
    case code::conflict: break;
  }
  return refuse(refusal::conflict, why.message);
}

bool is_empty(const storage::batch& what) {
  return what.appends.empty() && what.feeds.empty() && what.rows.empty() && what.snapshots.empty() &&
         what.erasures.empty();
}

} // namespace

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
    asked.push_back({m.kind, m.amount, m.job, m.stage, m.period, m.note, m.reference, m.key, m.key_limit});
  auto verdict = core_.decide(asked, request.at);
  if (auto why = std::get_if<ledger::refusal_reason>(&verdict))
    return refused_for(*why);
  const auto& events = std::get<0>(verdict);
  auto batch = std::move(request.attached);
  booked answer;
  for (const auto& happened : events) {
    const auto& made = std::get<ledger::transferred>(happened);
    ++answer.transfers;
    answer.moved += made.amount;
    if (made.kind == "hold")
      batch.rows.push_back({storage::table::open_holds, storage::key_of(id(), made.job),
                            pack({{"amount", made.amount}, {"at", made.at}}), false});
    else if (made.kind == "release")
      batch.rows.push_back({storage::table::open_holds, storage::key_of(id(), made.job), std::nullopt, false});
    // The core remembers a bounded number of references; the row remembers for ever.
    if (!made.reference.empty())
      batch.rows.push_back({storage::table::references,
                            storage::key_of(storage::key_of(id(), made.kind), made.reference), pack(made.id), true});
  }
  if (answer.transfers > 0)
    std::move(request.if_moved.begin(), request.if_moved.end(), std::back_inserter(batch.rows));
  evolve_into(events, batch);
  answer.balance = core_.balance(ledger::account_book::wallet);
  answer.held = core_.balance(ledger::account_book::held);
  if (!request.feed.empty()) {
    answer.first_feed_id = next_feed_id_;
    next_feed_id_ += request.feed.size();
    batch.feeds.push_back({account_id{id()}, answer.first_feed_id, std::move(request.feed)});
  }
  if (is_empty(batch) && idle()) // the disk has all of it: who only asks is answered though it may be full
    return answer;
  auto promise = make_response_promise<booked>();
  commit(std::move(batch), [promise, answer](storage::commit_status status) mutable {
    if (status == storage::commit_status::ok)
      promise.deliver(std::move(answer));
    else if (status == storage::commit_status::exists)
      promise.deliver(refuse(refusal::exists, "that name or reference is taken"));
    else
      promise.deliver(
          refuse(refusal::unavailable, std::string{"the journal did not take it: "} + storage::to_string(status)));
  });
  return promise;
}

caf::result<books> ledger_actor::read(read_books& request) {
  using enum ledger::account_book;
  auto used = core_.used_by(request.key);
  books answer{core_.balance(wallet),   core_.balance(held), core_.balance(revenue),
               -core_.balance(grants),  core_.owed(),        -core_.balance(payments),
               -core_.balance(refunds), used.spent,          used.held};
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
