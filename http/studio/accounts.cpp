#include "http/studio/accounts.hpp"

#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

namespace troupe::http::studio {

asio::awaitable<std::variant<booked, problem>> wallet_of(const head& h, const identity& who) {
  // Reading the wallet gives the month's allowance when it is due, so nobody waits for a night job.
  book request;
  request.account = who.account;
  request.at = now_ms();
  request.movements.push_back(allowance_of(h, who.tier, request.at));
  auto answer = co_await h.actors.ask(std::move(request));
  if (!answer)
    co_return problem_of(answer.error());
  co_return std::move(*answer);
}

asio::awaitable<reply> credits(const head& h, const request& r) {
  auto wallet = co_await wallet_of(h, *r.who);
  if (auto why = std::get_if<problem>(&wallet))
    co_return *why;
  const auto& now = std::get<booked>(wallet);
  const auto& limits = catalog::limits_of(h.tiers, catalog::tier_of(r.who->tier).value_or(catalog::tier::free));
  json answer = {{"credit_balance", whole_credits(now.balance)},
                 {"credits_held", whole_credits(now.held)},
                 {"balance_micro_credits", now.balance},
                 {"held_micro_credits", now.held},
                 {"tier", r.who->tier},
                 {"monthly_allowance", limits.credits_per_month}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> credits_history(const head& h, const request& r, history_query query) {
  auto events = h.database.journal().events("ledger/" + r.who->account,
                                            query.before == 0 ? 0 : static_cast<std::uint64_t>(query.before - 1),
                                            static_cast<std::size_t>(query.limit), true);
  if (!events)
    co_return unavailable("The history cannot be read now");
  json rows = json::array();
  std::uint64_t last = 0;
  for (const auto& [seq, bytes] : *events) {
    auto event = unpack(bytes);
    last = seq;
    if (!event)
      continue;
    auto kind = event->value("kind", std::string{});
    auto amount = event->value("amount", micro_credits{0});
    // What the wallet saw: a hold takes, a release gives back, a capture only ends what was held.
    auto wallet = kind == "hold" ? -amount : kind == "capture" ? 0 : amount;
    rows.push_back({{"id", seq},
                    {"type", kind},
                    {"credits", static_cast<double>(amount) / micro_per_credit},
                    {"amount", static_cast<double>(wallet) / micro_per_credit},
                    {"amount_micro_credits", wallet},
                    {"job_id", event->value("job", std::string{})},
                    {"description", event->value("note", std::string{})},
                    {"created_at", studio_time(event->value("at", timestamp{0}))}});
  }
  json answer = {{"transactions", std::move(rows)}, {"next_before", last > 1 ? json(last) : json()}};
  co_return reply::of(std::move(answer));
}

std::vector<endpoint> credit_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare({.path = "/api/credits",
                         .operation = "credits",
                         .summary = "Credit balance, what is held, tier and monthly allowance",
                         .tags = {"Credits"}},
                        [&h](const request& r, nothing, nothing) { return credits(h, r); }));
  out.push_back(declare<nothing, history_query>(
      {.path = "/api/credits/history",
       .operation = "credits_history",
       .summary = "The account's ledger, newest first",
       .tags = {"Credits"}},
      [&h](const request& r, nothing, history_query query) { return credits_history(h, r, query); }));
  return out;
}

} // namespace troupe::http::studio
