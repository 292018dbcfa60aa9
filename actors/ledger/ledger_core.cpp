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
  if (kind == "topup" || kind == "reversal" || kind == "reinstatement" || kind == "refund")
    return judge_referenced(asked, into);
  if (kind == "release")
    judge_release(asked, into);
  else if (kind == "allowance")
    judge_allowance(asked, into);
  else if (kind != "grant")
    return refuse(code::invalid, "no movement is called '" + kind + "'");
  else if (asked.amount > 0 && (asked.reference.empty() || !knows(kind, asked.reference)))
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
  if (asked.amount == 0 && asked.kind != "reinstatement") // of a reversal that found nothing
    return refuse(code::invalid, "a " + asked.kind + " of nothing");
  if (knows(asked.kind, asked.reference))
    return std::nullopt;
  into.push_back(from(asked));
  auto& one = into.back();
  if (asked.kind == "reversal") {
    // What was spent meanwhile cannot be taken back, what is held only later; the reference is remembered all the same.
    one.amount = std::min(asked.amount, balance(account_book::wallet));
    auto held = std::max<micro_credits>(0, balance(account_book::held) - outstanding());
    one.outstanding = std::min(asked.amount - one.amount, held);
  } else if (asked.kind == "reinstatement") {
    if (const auto* partial = find_partial(asked.reference)) // it took more since it was asked about, or will no more
      one.amount = partial->taken;
  }
  if (asked.kind == "topup")
    complete_reversals(one.amount, {}, into);
  else if (asked.kind == "reinstatement")
    complete_reversals(one.amount, asked.reference, into);
  return std::nullopt;
}

// What comes into the wallet completes the reversals that had to leave something, the oldest first; but not the one
// that is being given back.
void ledger_core::complete_reversals(micro_credits brought, const std::string& but, made& into) const {
  for (const auto& partial : partial_reversals_) {
    auto amount = std::min(brought, partial.left);
    if (amount == 0 || partial.reference == but)
      continue;
    transferred rest;
    rest.kind = "reversal";
    rest.amount = amount;
    rest.completes = partial.reference;
    rest.note = "what was held when it was paid back";
    into.push_back(std::move(rest));
    brought -= amount;
  }
}

void ledger_core::judge_release(const transfer& asked, made& into) const {
  auto found = holds_.find(asked.job);
  if (found == holds_.end())
    return; // all of it was captured
  into.push_back(from(asked));
  into.back().amount = found->second.left;
  complete_reversals(found->second.left, {}, into);
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
  out.partial_reversals_ = partial_reversals_;
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
    forgive_spent();
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
  } else if (e.kind == "reversal") {
    note_reversal(e);
  } else if (e.kind == "reinstatement") { // what it had left stays with the customer
    std::erase_if(partial_reversals_, [&](const partial_reversal& one) { return one.reference == e.reference; });
  }
  if (!e.reference.empty()) {
    references_.push_back(e.kind + ":" + e.reference);
    if (references_.size() > references_max)
      references_.pop_front();
  }
}

// What was held when it was paid back, and is spent since, is not owed: no more is outstanding than is held. The newest
// reversals forgo it.
void ledger_core::forgive_spent() {
  auto excess = outstanding() - balance(account_book::held);
  for (auto one = partial_reversals_.rbegin(); one != partial_reversals_.rend() && excess > 0; ++one) {
    auto amount = std::min(one->left, excess);
    one->left -= amount;
    excess -= amount;
  }
}

void ledger_core::note_reversal(const transferred& e) {
  if (e.outstanding > 0)
    partial_reversals_.push_back({e.reference, e.amount, e.outstanding});
  for (auto& one : partial_reversals_)
    if (one.reference == e.completes) {
      one.taken += e.amount;
      one.left -= e.amount;
    }
  if (partial_reversals_.size() <= partial_reversals_max)
    return;
  auto complete = std::find_if(partial_reversals_.begin(), partial_reversals_.end(),
                               [](const partial_reversal& one) { return one.left == 0; });
  if (complete != partial_reversals_.end())
    partial_reversals_.erase(complete);
}

const ledger_core::partial_reversal* ledger_core::find_partial(const std::string& reference) const {
  auto found = std::find_if(partial_reversals_.begin(), partial_reversals_.end(),
                            [&](const partial_reversal& one) { return one.reference == reference; });
  return found == partial_reversals_.end() ? nullptr : &*found;
}

micro_credits ledger_core::outstanding() const {
  micro_credits out = 0;
  for (const auto& one : partial_reversals_)
    out += one.left;
  return out;
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
  for (const auto& one : partial_reversals_)
    TROUPE_CHECK(one.taken >= 0 && one.left >= 0);
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
