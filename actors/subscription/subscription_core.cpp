#include "actors/subscription/subscription_core.hpp"

#include "common/catalog/tiers.hpp"
#include "common/check.hpp"

#include <algorithm>
#include <array>

namespace troupe::subscription {

namespace {

constexpr std::array<const char*, 4> standings{"none", "active", "past_due", "ended"};
constexpr const char* no_tier = "free";
constexpr const char* sandbox = "sandbox";

int rank_of(const std::string& tier) {
  auto which = catalog::tier_of(tier);
  return which ? static_cast<int>(*which) : -1; // nothing was ever granted
}

/// Whether `said` is of another subscription than the one that counts.
bool is_of_another(const report& said, const became& now) {
  return !now.subscription.empty() && !said.subscription.empty() && said.subscription != now.subscription;
}

} // namespace

const char* to_string(standing which) { return standings[static_cast<std::size_t>(which)]; }

std::optional<standing> standing_of(std::string_view name) {
  for (std::size_t i = 0; i < standings.size(); ++i)
    if (name == standings[i])
      return static_cast<standing>(i);
  return std::nullopt;
}

bool subscription_core::runs() const { return now_.status == standings[1] || now_.status == standings[2]; }

// Whether the report is to be believed: as the newest of the subscription that counts, or of one that takes its place.
bool subscription_core::is_news(const report& said) const {
  bool late = said.created < now_.last_report;
  if (!is_of_another(said, now_)) {
    // What has ended does not come back, and what was paid for was not left unpaid, whatever arrives late.
    bool ended = now_.status == standings[3] && !now_.subscription.empty();
    return !late && !ended && !(runs() && said.status == standing::none);
  }
  // Only one that is paid takes the place of another, and while that one runs, only a newer one does.
  if (said.status != standing::active || said.plan.empty())
    return false;
  return said.began > now_.began || (!runs() && !late);
}

std::optional<became> subscription_core::decide(const report& said, timestamp grace_ms, timestamp now) const {
  if (took(said.event) || !is_news(said))
    return std::nullopt;
  became next = now_;
  next.event = said.event;
  next.at = now;
  next.last_report = said.created;
  next.status = to_string(said.status);
  for (auto [to, from] : {std::pair{&next.provider, &said.provider}, std::pair{&next.customer, &said.customer},
                          std::pair{&next.subscription, &said.subscription}, std::pair{&next.plan, &said.plan}})
    if (!from->empty())
      *to = *from;
  if (said.period_end > 0)
    next.period_end = said.period_end;
  if (said.began > 0)
    next.began = said.began;
  next.ends = said.ends.value_or(is_of_another(said, now_) ? false : now_.ends);
  switch (said.status) {
    case standing::active: grant(next, said, now); break;
    case standing::past_due:
      next.why = "a renewal failed";
      if (next.grace_until == 0) // a second attempt that fails does not make the grace longer
        next.grace_until = said.created + grace_ms;
      break;
    case standing::ended:
      next.why = "the subscription ended";
      next.plan = no_tier;
      next.grace_until = next.paid_until = 0;
      next.ends = false;
      if (!next.tier.empty())
        next.tier = no_tier;
      break;
    case standing::none: next.why = "not paid yet"; break;
  }
  // What the report says may be over already: it came late.
  subscription_core after = *this;
  after.now_ = next;
  if (auto later = after.pass(now, next.provider)) {
    later->event = said.event;
    return later;
  }
  return next;
}

// A higher tier at once; a lower one when what was paid for is over.
void subscription_core::grant(became& next, const report& said, timestamp now) const {
  next.grace_until = 0;
  bool new_period = said.period_start > 0 && said.period_start >= now_.paid_until;
  if (rank_of(next.plan) >= rank_of(next.tier) || new_period || now_.paid_until <= now) {
    next.why = next.plan == now_.tier ? "renewed" : "bought";
    next.tier = next.plan;
    next.paid_until = next.period_end;
  } else {
    next.why = "a lower tier is bought; it begins when what was paid for is over";
  }
}

std::optional<became> subscription_core::pass(timestamp now, const std::string& provider) const {
  became next = now_;
  next.event.clear();
  next.at = now;
  if (now_.status == standings[2] && now_.grace_until <= now && rank_of(now_.tier) > 0) {
    next.tier = no_tier;
    next.paid_until = 0;
    next.why = "not paid within the grace";
    return next;
  }
  bool lower = rank_of(now_.plan) < rank_of(now_.tier) && now_.paid_until <= now;
  if (now_.status == standings[2] && !lower)
    return std::nullopt;
  if (!runs())
    return std::nullopt;
  bool over = now_.status == standings[1] && now_.period_end > 0 && now_.period_end <= now;
  if (over && now_.provider == sandbox)
    return pass_sandbox(std::move(next), now, provider);
  if (over && now_.ends) {
    if (rank_of(now_.tier) <= 0)
      return std::nullopt;
    // A guess until the provider says that it ended: it may have been taken up again, and the news be on its way.
    next.tier = no_tier;
    next.paid_until = 0;
    next.why = "the subscription was cancelled, and its last period is over";
    return next;
  }
  if (lower) {
    next.tier = next.plan;
    next.paid_until = next.period_end;
    next.why = "the lower tier begins";
    return next;
  }
  return std::nullopt;
}

// The sandbox has nobody else who would renew or end it, and under another provider nobody pays for it any more.
became subscription_core::pass_sandbox(became next, timestamp now, const std::string& provider) const {
  if (now_.ends || provider != sandbox) {
    next.tier = next.plan = no_tier;
    next.status = to_string(standing::ended);
    next.paid_until = 0;
    next.ends = false;
    next.why = now_.ends ? "the subscription was cancelled, and its last period is over"
                         : "the sandbox is no more the provider, and the last period is over";
    return next;
  }
  while (next.period_end <= now)
    next.period_end += sandbox_period_ms;
  next.tier = next.plan;
  next.paid_until = next.period_end;
  next.why = "renewed";
  return next;
}

timestamp subscription_core::due_at() const {
  timestamp out = 0;
  auto consider = [&out](bool counts, timestamp at) {
    if (counts && at > 0)
      out = out == 0 ? at : std::min(out, at);
  };
  bool active = now_.status == standings[1], granted = rank_of(now_.tier) > 0;
  consider(now_.status == standings[2] && granted, now_.grace_until);
  consider(runs() && rank_of(now_.plan) < rank_of(now_.tier), now_.paid_until);
  consider(active && ((now_.ends && granted) || now_.provider == sandbox), now_.period_end);
  return out;
}

std::optional<std::string> subscription_core::tier_to_give() const {
  if (now_.tier.empty() || now_.tier == given_)
    return std::nullopt;
  return now_.tier;
}

std::string subscription_core::next_tier() const {
  bool past_due = now_.status == standings[2];
  if (runs() && rank_of(now_.plan) < rank_of(now_.tier) && (!past_due || now_.paid_until <= now_.grace_until))
    return now_.ends && now_.period_end <= now_.paid_until ? no_tier : now_.plan;
  return runs() && (past_due || now_.ends) && rank_of(now_.tier) > 0 ? no_tier : std::string{};
}

bool subscription_core::took(const std::string& id) const {
  return !id.empty() && std::find(taken_.begin(), taken_.end(), id) != taken_.end();
}

void subscription_core::evolve(const event& happened) {
  if (const auto* given = std::get_if<tier_given>(&happened)) {
    given_ = given->tier;
    return;
  }
  now_ = std::get<became>(happened);
  if (!now_.event.empty()) {
    taken_.push_back(now_.event);
    if (taken_.size() > events_remembered_max)
      taken_.pop_front();
  }
}

json subscription_core::to_json() const { return {{"now", now_}, {"given", given_}, {"taken", taken_}}; }

subscription_core subscription_core::from_json(const json& state) {
  subscription_core out;
  out.now_ = state.at("now").get<became>();
  out.given_ = state.at("given").get<std::string>();
  out.taken_ = state.at("taken").get<std::deque<std::string>>();
  return out;
}

void subscription_core::check_invariants() const {
  TROUPE_CHECK(now_.tier.empty() || rank_of(now_.tier) >= 0);
  TROUPE_CHECK(now_.status.empty() || standing_of(now_.status));
  TROUPE_CHECK(now_.status != standings[3] || rank_of(now_.tier) <= 0);
  TROUPE_CHECK(now_.status != standings[1] || rank_of(now_.tier) <= rank_of(now_.plan) || now_.paid_until > 0);
  TROUPE_CHECK(taken_.size() <= events_remembered_max);
}

} // namespace troupe::subscription
