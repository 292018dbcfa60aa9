#include "actors/subscription/subscription_actor.hpp"

#include "actors/directory/directory_messages.hpp"
#include "actors/subscription/subscription_rows.hpp"
#include "common/catalog/tiers.hpp"

namespace troupe {

using storage::table;

subscription_actor::subscription_actor(caf::actor_config& config, actor_board& board, storage::journal& journal,
                                       address_book_ptr others, std::string account, storage::replayed past)
  : persistent(config, board, journal, actor_kind::subscription, std::move(account), std::move(past)),
    others_(std::move(others)) {
  snapshot_every_ = 64;
}

caf::behavior subscription_actor::make_behavior() {
  if (!restore())
    return {};
  due_written_ = due();
  return {
      on(&subscription_actor::take),         on(&subscription_actor::pass),
      on(&subscription_actor::inspect_self), on(&subscription_actor::on_committed),
      on(&subscription_actor::on_passivate),
  };
}

caf::result<subscription_view> subscription_actor::take(report_subscription& said) {
  auto status = subscription::standing_of(said.status);
  if (!status || (!said.plan.empty() && !catalog::tier_of(said.plan)))
    return refuse(refusal::invalid, "a subscription of tier '" + said.plan + "' that is '" + said.status + "'");
  subscription::report report{said.event,   said.provider, said.customer,     said.subscription, said.plan,   *status,
                              said.created, said.began,    said.period_start, said.period_end,   std::nullopt};
  if (!said.ends.empty())
    report.ends = said.ends == "yes";
  return record(core_.decide(report, said.grace_ms, said.at), std::move(said.rows), said.at);
}

caf::result<subscription_view> subscription_actor::pass(pass_time& now) {
  std::vector<storage::row> rows;
  if (now.due != due_written_) // of rules that have changed since it was written
    rows.push_back({table::subscription_due, subscription_due_key(now.due, id()), std::nullopt, false});
  return record(core_.pass(now.at, now.provider), std::move(rows), now.at);
}

caf::result<subscription_view> subscription_actor::record(std::optional<subscription::became> next,
                                                          std::vector<storage::row> rows, timestamp at) {
  storage::batch batch;
  batch.rows = std::move(rows);
  bool changed = next.has_value();
  std::vector<event> events;
  if (changed)
    events.emplace_back(std::move(*next));
  evolve_into(events, batch);
  add_rows(batch);
  auto promise = make_response_promise<subscription_view>();
  askers_.emplace_back(promise, changed);
  commit(std::move(batch), [this, at](storage::commit_status status) {
    if (status != storage::commit_status::ok) // the base drops this actor, and it comes back from disk
      answer_all(
          refuse(refusal::unavailable, std::string{"the journal did not take it: "} + storage::to_string(status)));
    else
      give_tier(at);
  });
  return promise;
}

void subscription_actor::give_tier(timestamp at) {
  if (giving_ || !idle())
    return; // the last one to become durable goes on
  auto tier = core_.tier_to_give();
  if (!tier) {
    answer_all({});
    return;
  }
  giving_ = true;
  change_account change;
  change.account = id();
  change.by = change.who.via = "subscription";
  change.tier = *tier;
  change.reason = core_.now().why;
  change.at = at;
  request(others_->directory, std::chrono::seconds(20), routed(std::move(change)))
      .then([this, tier, at](account_view&) { tier_is_given(*tier, at); },
            [this, tier, at](caf::error& why) {
              if (read_refusal(why).why == refusal::not_found) { // the account is gone: nobody is left to be given it
                tier_is_given(*tier, at);
                return;
              }
              giving_ = false;
              answer_all(why);
            });
}

void subscription_actor::tier_is_given(const std::string& tier, timestamp at) {
  giving_ = false;
  storage::batch batch;
  evolve_into({subscription::tier_given{tier, at}}, batch);
  add_rows(batch);
  commit(std::move(batch), [this, at](storage::commit_status status) {
    if (status == storage::commit_status::ok)
      give_tier(at);
    else
      answer_all(refuse(refusal::unavailable, "the journal did not take it"));
  });
}

void subscription_actor::answer_all(const caf::error& why) {
  for (auto& [promise, changed] : std::exchange(askers_, {}))
    if (why)
      promise.deliver(why);
    else
      promise.deliver(view(changed));
}

// A tier that the account has not got yet is due at once.
timestamp subscription_actor::due() const { return core_.tier_to_give() ? core_.now().at : core_.due_at(); }

void subscription_actor::add_rows(storage::batch& into) {
  if (!core_.exists())
    return;
  into.rows.push_back({table::subscriptions, id(), pack(view(false)), false});
  auto next = due();
  if (next == due_written_)
    return;
  if (due_written_ != 0)
    into.rows.push_back({table::subscription_due, subscription_due_key(due_written_, id()), std::nullopt, false});
  if (next != 0)
    into.rows.push_back({table::subscription_due, subscription_due_key(next, id()), pack(id()), false});
  due_written_ = next;
}

subscription_view subscription_actor::view(bool changed) const {
  const auto& now = core_.now();
  subscription_view out;
  out.provider = now.provider;
  out.customer = now.customer;
  out.subscription = now.subscription;
  out.status = now.status.empty() ? to_string(subscription::standing::none) : now.status;
  out.plan = now.plan;
  out.tier = now.tier;
  out.next_tier = core_.next_tier();
  out.period_end = now.period_end;
  out.changes_at = out.next_tier.empty() ? 0 : core_.due_at();
  out.grace_until = now.grace_until;
  out.changed = changed;
  return out;
}

} // namespace troupe
