#include "actors/ledger/ledger_core.hpp"

#include "common/check.hpp"

#include <numeric>

namespace troupe::ledger {

namespace {

/// From which book to which a kind of transfer goes.
std::pair<account_book, account_book> direction(const std::string& kind) {
  if (kind == "hold")
    return {account_book::wallet, account_book::held};
  if (kind == "capture")
    return {account_book::held, account_book::revenue};
  if (kind == "release")
    return {account_book::held, account_book::wallet};
  return {account_book::grants, account_book::wallet}; // grant, allowance
}

refusal_reason refuse(refusal_reason::code why, std::string message) { return {why, std::move(message), 0, 0}; }

} // namespace

const char* to_string(account_book which) {
  switch (which) {
    case account_book::wallet: return "wallet";
    case account_book::held: return "held";
    case account_book::revenue: return "revenue";
    case account_book::grants: return "grants";
  }
  return "unknown";
}

ledger_core::verdict ledger_core::decide(const std::vector<transfer>& asked, timestamp at) const {
  // Each movement is judged on what the ones before it leave, so they are tried on a copy when there are several.
  std::vector<event> events;
  std::optional<ledger_core> trial;
  for (const auto& one : asked) {
    const ledger_core& now = trial ? *trial : *this;
    auto judged = now.judge(one);
    if (auto why = std::get_if<refusal_reason>(&judged))
      return *why;
    if (auto made = std::get_if<transferred>(&judged)) {
      made->id = now.transfers_ + 1;
      made->at = at;
      events.emplace_back(*made);
      if (asked.size() > 1) {
        if (!trial)
          trial = *this;
        trial->evolve(events.back());
      }
    }
  }
  return events;
}

std::variant<std::monostate, transferred, refusal_reason> ledger_core::judge(const transfer& asked) const {
  using code = refusal_reason::code;
  if (asked.amount < 0 || asked.amount > credits(1'000'000'000))
    return refuse(code::invalid, "an amount of " + std::to_string(asked.amount) + " micro-credits cannot be moved");
  transferred out{0, asked.kind, asked.amount, asked.job, asked.stage, asked.period, asked.note, 0};
  auto found = holds_.find(asked.job);
  if (asked.kind == "hold") {
    if (found != holds_.end())
      return refuse(code::conflict, "job " + asked.job + " has a hold already");
    if (asked.amount > balance(account_book::wallet))
      return refusal_reason{code::insufficient, "Not enough credits", asked.amount, balance(account_book::wallet)};
    return out;
  }
  if (asked.kind == "capture") {
    if (found == holds_.end())
      return refuse(code::conflict, "job " + asked.job + " holds nothing");
    if (found->second.captured.contains(asked.stage))
      return std::monostate{};
    if (asked.amount > found->second.left)
      return refuse(code::conflict,
                    "a capture for stage " + asked.stage + " of job " + asked.job + " exceeds its hold");
    return out;
  }
  if (asked.kind == "release") {
    if (found == holds_.end())
      return std::monostate{}; // all of it was captured
    out.amount = found->second.left;
    return out;
  }
  if (asked.kind == "grant")
    return out.amount > 0 ? std::variant<std::monostate, transferred, refusal_reason>{out} : std::monostate{};
  if (asked.kind == "allowance") {
    // A month that is over is not given again, should a clock go back.
    if (asked.period < period_)
      return std::monostate{};
    auto given = asked.period == period_ ? given_in_period_ : 0;
    if (asked.amount <= given)
      return std::monostate{};
    out.amount = asked.amount - given;
    return out;
  }
  return refuse(code::invalid, "no movement is called '" + asked.kind + "'");
}

void ledger_core::evolve(const event& happened) {
  const auto& e = std::get<transferred>(happened);
  auto [from, to] = direction(e.kind);
  books_[static_cast<std::size_t>(from)] -= e.amount;
  books_[static_cast<std::size_t>(to)] += e.amount;
  transfers_ = e.id;
  if (e.kind == "hold") {
    holds_[e.job].left = e.amount;
  } else if (e.kind == "capture") {
    auto& open = holds_.at(e.job);
    open.left -= e.amount;
    open.captured.insert(e.stage);
  } else if (e.kind == "release") {
    holds_.erase(e.job);
  } else if (e.kind == "allowance") {
    given_in_period_ = (e.period == period_ ? given_in_period_ : 0) + e.amount;
    period_ = e.period;
  }
}

micro_credits ledger_core::held_for(const std::string& job) const {
  auto found = holds_.find(job);
  return found == holds_.end() ? 0 : found->second.left;
}

json ledger_core::to_json() const {
  json holds = json::object();
  for (const auto& [job, open] : holds_)
    holds[job] = {{"left", open.left}, {"captured", open.captured}};
  json out = {{"holds", holds}, {"period", period_}, {"given_in_period", given_in_period_}, {"transfers", transfers_}};
  for (auto which : {account_book::wallet, account_book::held, account_book::revenue, account_book::grants})
    out["books"][to_string(which)] = balance(which);
  return out;
}

ledger_core ledger_core::from_json(const json& state) {
  ledger_core out;
  for (auto which : {account_book::wallet, account_book::held, account_book::revenue, account_book::grants})
    out.books_[static_cast<std::size_t>(which)] = state.at("books").at(to_string(which)).get<micro_credits>();
  for (const auto& [job, open] : state.at("holds").items())
    out.holds_[job] = {open.at("left").get<micro_credits>(), open.at("captured").get<std::set<std::string>>()};
  out.period_ = state.at("period").get<std::string>();
  out.given_in_period_ = state.at("given_in_period").get<micro_credits>();
  out.transfers_ = state.at("transfers").get<std::uint64_t>();
  return out;
}

void ledger_core::check_invariants() const {
  TROUPE_CHECK(balance(account_book::wallet) >= 0);
  TROUPE_CHECK(balance(account_book::held) >= 0);
  TROUPE_CHECK(std::accumulate(books_.begin(), books_.end(), micro_credits{0}) == 0);
  micro_credits left = 0;
  for (const auto& [job, open] : holds_) {
    TROUPE_CHECK(open.left >= 0);
    left += open.left;
  }
  TROUPE_CHECK(left == balance(account_book::held));
}

} // namespace troupe::ledger
