#include "actors/scheduler/account_order.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace troupe::scheduling {

std::uint64_t account_order::work_in(const block& from) {
  std::uint64_t out = 0;
  for (const auto& e : from)
    out |= e.work;
  return out;
}

std::size_t account_order::block_for(const entry& e) const {
  auto at =
      std::lower_bound(lasts_.begin(), lasts_.end(), e, [](const entry& a, const entry& b) { return a.before(b); });
  return static_cast<std::size_t>(at - lasts_.begin());
}

std::optional<account_order::place> account_order::find(std::uint64_t work, place from) const {
  for (auto b = from.block; b < blocks_.size(); ++b, from.at = 0) {
    if ((work_[b] & work) == 0)
      continue;
    const auto& own = blocks_[b];
    for (auto at = from.at; at < own.size(); ++at)
      if ((own[at].work & work) != 0)
        return place{b, at};
    if (from.at == 0)
      work_[b] = work_in(own);
  }
  return std::nullopt;
}

account_order::place account_order::find(virtual_time key, ticket_number ticket) const {
  const entry wanted{key, ticket};
  auto b = block_for(wanted);
  TROUPE_CHECK(b < blocks_.size());
  const auto& own = blocks_[b];
  auto at =
      std::lower_bound(own.begin(), own.end(), wanted, [](const entry& x, const entry& y) { return x.before(y); });
  TROUPE_CHECK(at != own.end() && at->ticket == ticket);
  return {b, static_cast<std::size_t>(at - own.begin())};
}

void account_order::insert(const entry& e) {
  auto b = block_for(e);
  if (blocks_.empty()) {
    blocks_.emplace_back().reserve(block_max);
    lasts_.push_back(e);
    work_.push_back(0);
  }
  if (b == blocks_.size()) // after all others
    lasts_[--b] = e;
  auto& own = blocks_[b];
  own.insert(std::upper_bound(own.begin(), own.end(), e, [](const entry& x, const entry& y) { return x.before(y); }),
             e);
  work_[b] |= e.work;
  if (own.size() < block_max)
    return;
  block upper;
  upper.reserve(block_max);
  upper.assign(own.begin() + block_max / 2, own.end());
  own.resize(block_max / 2);
  auto after = static_cast<std::ptrdiff_t>(b);
  work_[b] = work_in(own);
  work_.insert(work_.begin() + after + 1, work_in(upper));
  lasts_.insert(lasts_.begin() + after, own.back());
  blocks_.insert(blocks_.begin() + after + 1, std::move(upper));
}

void account_order::erase(place where) {
  auto at = static_cast<std::ptrdiff_t>(where.block);
  auto& own = blocks_[where.block];
  own.erase(own.begin() + static_cast<std::ptrdiff_t>(where.at));
  if (!own.empty())
    return;
  blocks_.erase(blocks_.begin() + at);
  lasts_.erase(lasts_.begin() + at);
  work_.erase(work_.begin() + at);
}

void account_order::set_work(place where, std::uint64_t work) {
  blocks_[where.block][where.at].work = work;
  work_[where.block] |= work;
}

// -- promises ---------------------------------------------------------------------------------------------------------

void account_order::check_invariants() const {
  TROUPE_CHECK(lasts_.size() == blocks_.size() && work_.size() == blocks_.size());
  const entry* before = nullptr;
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    TROUPE_CHECK(!blocks_[b].empty() && (work_in(blocks_[b]) & ~work_[b]) == 0);
    for (const auto& e : blocks_[b]) {
      TROUPE_CHECK(before == nullptr || before->before(e));
      TROUPE_CHECK(!lasts_[b].before(e) && (b == 0 || lasts_[b - 1].before(e)));
      before = &e;
    }
  }
}

} // namespace troupe::scheduling
