#include "actors/ledger/ledger_core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::ledger {

namespace {

using code = refusal_reason::code;

constexpr micro_credits amount_max = credits(1'000'000'000);
constexpr std::size_t reference_bytes_max = 255;

refusal_reason refuse(code why, std::string message) { return {why, std::move(message), 0, 0}; }

transferred from(const transfer& asked) {
  transferred out;
  out.kind = asked.kind;
  out.amount = asked.amount;
  out.job = asked.job;
  out.stage = asked.stage;
  out.period = asked.period;
  out.note = asked.note;
  out.reference = asked.reference;
  out.key = asked.key;
  return out;
}

} // namespace

ledger_core::verdict ledger_core::decide(const std::vector<transfer>& asked, timestamp at) const {
  // Each movement is judged on what the ones before it leave, so several are tried on a copy of what they touch.
  std::vector<event> events;
  std::optional<ledger_core> trial;
  auto next_id = transfers_;
  for (const auto& one : asked) {
    made parts;
    if (auto why = (trial ? *trial : *this).judge(one, parts))
      return *why;
    for (auto& part : parts) {
      part.id = ++next_id;
      part.at = at;
      events.emplace_back(std::move(part));
      if (&one == &asked.back())
        continue;
      if (!trial)
        trial = excerpt_for(asked);
      trial->evolve(events.back());
    }
  }
  return events;
}

std::optional<refusal_reason> ledger_core::judge(const transfer& asked, made& into) const {
  if (asked.amount < 0 || asked.amount > amount_max)
    return refuse(code::invalid, "an amount of " + std::to_string(asked.amount) + " micro-credits cannot be moved");
  const auto& kind = asked.kind;
  if (kind == "hold")
    return judge_hold(asked, into);
  if (kind == "capture" || kind == "meter")
    return judge_charge(asked, into);
  if (kind == "topup" || kind == "reversal" || kind == "refund")
    return judge_referenced(asked, into);
  if (kind == "release")
    judge_release(asked, into);
  else if (kind == "allowance")
    judge_allowance(asked, into);
  else if (kind != "grant")
    return refuse(code::invalid, "no movement is called '" + kind + "'");
  else if (asked.amount > 0)
    into.push_back(from(asked));
  return std::nullopt;
}

std::optional<refusal_reason> ledger_core::judge_hold(const transfer& asked, made& into) const {
  if (asked.job.empty())
    return refuse(code::invalid, "a hold must name its job");
  if (holds_.contains(asked.job))
    return refuse(code::conflict, "job " + asked.job + " has a hold already");
  if (asked.amount > balance(account_book::wallet))
    return refusal_reason{code::insufficient, "Not enough credits", asked.amount, balance(account_book::wallet)};
  auto used = used_by(asked.key).total();
  if (asked.key_limit > 0 && asked.amount > asked.key_limit - used)
    return refusal_reason{code::key_limit, "The API key has reached its spend limit", asked.amount,
                          std::max<micro_credits>(0, asked.key_limit - used)};
  into.push_back(from(asked));
  return std::nullopt;
}

std::optional<refusal_reason> ledger_core::judge_charge(const transfer& asked, made& into) const {
  auto found = holds_.find(asked.job);
  if (found == holds_.end())
    return refuse(code::conflict, "job " + asked.job + " holds nothing");
  if (found->second.captured.contains(asked.stage))
    return std::nullopt;
  auto metered = asked.kind == "meter";
  auto paid = metered ? settled_for(asked.amount) : asked.amount;
  if (paid > found->second.left)
    return refuse(code::conflict,
                  "a " + asked.kind + " for stage " + asked.stage + " of job " + asked.job + " exceeds its hold");
  if (metered && paid > 0) {
    into.push_back(from(asked));
    into.back().kind = "settle";
    into.back().amount = paid;
  }
  into.push_back(from(asked));
  return std::nullopt;
}

std::optional<refusal_reason> ledger_core::judge_referenced(const transfer& asked, made& into) const {
  if (asked.reference.empty() || asked.reference.size() > reference_bytes_max)
    return refuse(code::invalid, "a " + asked.kind + " must have a reference of 1 to " +
                                     std::to_string(reference_bytes_max) + " bytes");
  if (asked.amount == 0)
    return refuse(code::invalid, "a " + asked.kind + " of nothing");
  if (knows(asked.kind, asked.reference))
    return std::nullopt;
  into.push_back(from(asked));
  if (asked.kind ==
      "reversal") // what was spent meanwhile cannot be taken back; the reference is remembered all the same
    into.back().amount = std::min(asked.amount, balance(account_book::wallet));
  return std::nullopt;
}

void ledger_core::judge_release(const transfer& asked, made& into) const {
  auto found = holds_.find(asked.job);
  if (found == holds_.end())
    return; // all of it was captured
  into.push_back(from(asked));
  into.back().amount = found->second.left;
}

void ledger_core::judge_allowance(const transfer& asked, made& into) const {
  if (asked.period < period_) // a month that is over is not given again, should a clock go back
    return;
  auto given = asked.period == period_ ? given_in_period_ : 0;
  if (asked.amount <= given)
    return;
  into.push_back(from(asked));
  into.back().amount = asked.amount - given;
}

bool ledger_core::knows(const std::string& kind, const std::string& reference) const {
  return std::find(references_.begin(), references_.end(), kind + ":" + reference) != references_.end();
}

ledger_core ledger_core::excerpt_for(const std::vector<transfer>& asked) const {
  ledger_core out;
  out.books_ = books_;
  out.period_ = period_;
  out.given_in_period_ = given_in_period_;
  out.transfers_ = transfers_;
  for (const auto& one : asked) {
    auto key = one.key;
    if (auto found = holds_.find(one.job); found != holds_.end()) {
      out.holds_.insert(*found);
      key = found->second.key;
    }
    for (const auto& name : {key, one.key})
      if (auto found = keys_.find(name); found != keys_.end())
        out.keys_.insert(*found);
    if (!one.reference.empty() && knows(one.kind, one.reference))
      out.references_.push_back(one.kind + ":" + one.reference);
  }
  return out;
}

void ledger_core::evolve(const event& happened) {
  const auto& e = std::get<transferred>(happened);
  auto way = route_of(e.kind);
  TROUPE_CHECK(way);
  books_[static_cast<std::size_t>(way->from)] -= e.amount;
  books_[static_cast<std::size_t>(way->to)] += e.amount;
  transfers_ = e.id;
  if (e.kind == "hold") {
    holds_[e.job] = {e.amount, {}, e.key, e.at};
    if (!e.key.empty())
      keys_[e.key].held += e.amount;
  } else if (e.kind == "capture" || e.kind == "settle") {
    auto& open = holds_.at(e.job);
    open.left -= e.amount;
    if (e.kind == "capture")
      open.captured.insert(e.stage);
    if (!open.key.empty()) {
      keys_[open.key].held -= e.amount;
      keys_[open.key].spent += e.amount;
    }
  } else if (e.kind == "meter") {
    holds_.at(e.job).captured.insert(e.stage);
  } else if (e.kind == "release") {
    auto open = holds_.find(e.job);
    if (auto used = keys_.find(open->second.key); used != keys_.end()) {
      used->second.held -= e.amount;
      if (used->second.total() == 0)
        keys_.erase(used);
    }
    holds_.erase(open);
  } else if (e.kind == "allowance") {
    given_in_period_ = (e.period == period_ ? given_in_period_ : 0) + e.amount;
    period_ = e.period;
  }
  if (!e.reference.empty()) {
    references_.push_back(e.kind + ":" + e.reference);
    if (references_.size() > references_max)
      references_.pop_front();
  }
}

micro_credits ledger_core::held_for(const std::string& job) const {
  auto found = holds_.find(job);
  return found == holds_.end() ? 0 : found->second.left;
}

key_use ledger_core::used_by(const std::string& key) const {
  auto found = keys_.find(key);
  return found == keys_.end() ? key_use{} : found->second;
}

void ledger_core::check_invariants() const {
  TROUPE_CHECK(balance(account_book::wallet) >= 0);
  TROUPE_CHECK(balance(account_book::held) >= 0);
  TROUPE_CHECK(std::accumulate(books_.begin(), books_.end(), micro_credits{0}) == 0);
  TROUPE_CHECK(owed() >= 0 && owed() < micro_per_credit);
  // A busy account has thousands of holds: to sum them at every transfer would cost more than the transfer.
  constexpr std::size_t few = 64;
  if (holds_.size() <= few || transfers_ % 1024 == 0)
    check_holds();
}

void ledger_core::check_holds() const {
  micro_credits left = 0;
  std::map<std::string, micro_credits> by_key;
  for (const auto& [job, open] : holds_) {
    TROUPE_CHECK(open.left >= 0);
    left += open.left;
    if (!open.key.empty())
      by_key[open.key] += open.left;
  }
  TROUPE_CHECK(left == balance(account_book::held));
  for (const auto& [key, used] : keys_)
    TROUPE_CHECK(used.spent >= 0 && used.held == by_key[key]);
}

} // namespace troupe::ledger
