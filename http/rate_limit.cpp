#include "http/rate_limit.hpp"

#include "common/networks.hpp"

#include <algorithm>

namespace troupe::http {

namespace {

constexpr std::int64_t minute_ms = 60'000;
constexpr std::string_view kept_kinds = "splu"; // spend, payment, login, signup

} // namespace

rate_verdict rate_limiter::count(rate_class c, std::string_view subject, timestamp now) {
  switch (c) {
    case rate_class::spend: return count('s', subject, limits_.spend_per_user_minute, minute_ms, now);
    case rate_class::payment: return count('p', subject, limits_.payments_per_user_minute, minute_ms, now);
    case rate_class::login:
      return count('l', address_group(subject), limits_.login_per_address_5min, 5 * minute_ms, now);
    case rate_class::signup:
      return count('u', address_group(subject), limits_.signup_per_address_hour, 60 * minute_ms, now);
    case rate_class::none:
    case rate_class::read: break;
  }
  return {};
}

rate_verdict rate_limiter::count_key(std::string_view key, std::optional<std::int64_t> own, timestamp now) {
  return count('k', key, own.value_or(limits_.per_key_minute), minute_ms, now);
}

rate_verdict rate_limiter::count_address(std::string_view address, timestamp now) {
  return count('a', address_group(address), limits_.per_address_10min, 10 * minute_ms, now);
}

rate_verdict rate_limiter::give_back(rate_class c, std::string_view subject, timestamp now) {
  rate_verdict out;
  if (c != rate_class::spend && c != rate_class::payment)
    return out;
  std::lock_guard lock{mutex_};
  auto found = by_who_.find((c == rate_class::spend ? 's' : 'p') + std::string{subject});
  if (found == by_who_.end())
    return out;
  auto& w = *found->second;
  if (w.ends > now && w.seen > 0) {
    --w.seen;
    note(w);
  }
  out.limit = c == rate_class::spend ? limits_.spend_per_user_minute : limits_.payments_per_user_minute;
  out.remaining = std::max<std::int64_t>(0, out.limit - w.seen);
  out.reset_s = std::max<std::int64_t>(1, (w.ends - now + 999) / 1000);
  return out;
}

void rate_limiter::note(window& w) {
  if (!w.told || kept_kinds.find(w.who.front()) == std::string_view::npos)
    return;
  w.told = false;
  changed_.push_back(w.who);
}

std::vector<kept_window> rate_limiter::changed(std::size_t most) {
  std::lock_guard lock{mutex_};
  std::vector<kept_window> out;
  while (!changed_.empty() && out.size() < most) {
    if (auto found = by_who_.find(changed_.back()); found != by_who_.end()) {
      found->second->told = true;
      out.push_back({found->second->who, found->second->ends, found->second->seen});
    }
    changed_.pop_back();
  }
  return out;
}

void rate_limiter::restore(const kept_window& kept, timestamp now) {
  constexpr std::int64_t longest_ms = 60 * minute_ms;
  std::lock_guard lock{mutex_};
  bool ours = !kept.who.empty() && kept_kinds.find(kept.who.front()) != std::string_view::npos;
  if (!ours || kept.ends <= now || kept.ends > now + longest_ms || by_who_.contains(kept.who) ||
      windows_.size() >= limits_.counters_max)
    return;
  windows_.push_back({kept.who, kept.ends, kept.seen});
  by_who_.emplace(kept.who, std::prev(windows_.end()));
}

std::size_t rate_limiter::counters() const {
  std::lock_guard lock{mutex_};
  return windows_.size();
}

rate_verdict rate_limiter::count(char kind, std::string_view subject, std::int64_t limit, std::int64_t window_ms,
                                 timestamp now) {
  if (limit <= 0)
    return {};
  std::lock_guard lock{mutex_};
  std::string who = kind + std::string{subject};
  auto found = by_who_.find(who);
  if (found != by_who_.end() && found->second->ends <= now) {
    windows_.erase(found->second);
    by_who_.erase(found);
    found = by_who_.end();
  }
  if (found == by_who_.end()) {
    // Two a time: those that are over go faster than new ones come. When all still run, the oldest makes room.
    for (int i = 0; i < 2 && !windows_.empty(); ++i) {
      bool full = windows_.size() >= limits_.counters_max;
      if (!full && windows_.front().ends > now)
        break;
      by_who_.erase(windows_.front().who);
      windows_.pop_front();
    }
    windows_.push_back({who, now + window_ms, 0});
    found = by_who_.emplace(std::move(who), std::prev(windows_.end())).first;
  }
  auto& w = *found->second;
  rate_verdict out;
  out.limit = limit;
  out.allowed = w.seen < limit;
  if (out.allowed) {
    ++w.seen;
    note(w);
  }
  out.remaining = std::max<std::int64_t>(0, limit - w.seen); // a lower limit may have come since
  out.reset_s = std::max<std::int64_t>(1, (w.ends - now + 999) / 1000);
  return out;
}

} // namespace troupe::http
