#include "actors/scheduler/fair_queue.hpp"

#include <algorithm>

namespace troupe::scheduling {

// -- accounts ---------------------------------------------------------------------------------------------------------

index fair_queue::find_account(const std::string& id) const {
  return account_by_id_.find(flat_index::hash_of(id), [&](index at) { return accounts_[at].id == id; });
}

index fair_queue::account(const std::string& id, std::uint32_t weight) {
  auto at = find_account(id);
  if (at == none) {
    at = accounts_.add({});
    accounts_[at].id = id;
    times_.resize(std::max<std::size_t>(times_.size(), at + 1));
    times_[at] = 0;
    account_by_id_.insert(flat_index::hash_of(id), at);
  }
  auto& record = accounts_[at];
  if (record.weight != weight) {
    for (auto entry : record.entries) {
      auto& weights = buckets_[entries_[entry].bucket].weights;
      weights = weights - record.weight + weight;
    }
    record.weight = weight;
  }
  return at;
}

bool fair_queue::ended(index account, timestamp now) {
  auto& record = accounts_[account];
  TROUPE_CHECK(record.running > 0);
  auto was_at_cap = at_cap(account);
  --record.running;
  record.idle_since = now;
  return was_at_cap && !at_cap(account);
}

void fair_queue::correct(index account, index bucket, virtual_time amount) {
  auto& record = accounts_[account];
  auto own = find_entry(account, bucket);
  record.peak = std::max(record.peak, times_[account]);
  times_[account] += amount;
  if (own != none) {
    entries_[own].floor += amount;
    mend(own);
  }
  // Higher keys are mended when they come up; lower ones when it adds up, as an account may lie in many buckets.
  if (record.peak - times_[account] > debt_max_ / 16)
    mend_all(account);
}

void fair_queue::mend_all(index account) {
  auto& record = accounts_[account];
  for (auto at : record.entries) {
    const auto& entry = entries_[at];
    if (entry.ceiling > times_[account] && entry.floor < record.peak) // else its key is not made of the time
      mend(at);
  }
  record.peak = times_[account];
}

void fair_queue::forget_idle(timestamp before) {
  for (int looked = 0; looked < 1000 && accounts_.size() > 0 && looked < static_cast<int>(accounts_.end()); ++looked) {
    sweep_ = sweep_ + 1 < accounts_.end() ? sweep_ + 1 : 0;
    if (!accounts_.used(sweep_))
      continue;
    const auto& record = accounts_[sweep_];
    if (record.waiting == 0 && record.running == 0 && record.idle_since < before) {
      account_by_id_.erase(flat_index::hash_of(record.id), sweep_);
      accounts_.remove(sweep_);
    }
  }
}

// -- buckets ----------------------------------------------------------------------------------------------------------

std::size_t fair_queue::requirement_hash::operator()(const requirement& wanted) const noexcept {
  std::size_t out = wanted.kind;
  auto mix = [&](std::size_t x) { out = (out ^ x) * 0x9e3779b97f4a7c15ULL; };
  mix(wanted.model);
  mix(wanted.vram_mib);
  mix(static_cast<std::size_t>(wanted.priority));
  for (const auto& device : wanted.excluded)
    mix(std::hash<std::string>{}(device));
  return out ^ out >> 32;
}

index fair_queue::find_bucket(const requirement& wanted) const {
  auto known = bucket_numbers_.find(wanted);
  return known == bucket_numbers_.end() ? none : known->second;
}

index fair_queue::add_bucket(requirement wanted) {
  auto at = buckets_.add({});
  buckets_[at].wanted = wanted;
  bucket_numbers_.emplace(std::move(wanted), at);
  return at;
}

void fair_queue::remove_bucket(index bucket) {
  TROUPE_CHECK(buckets_[bucket].waiting == 0);
  bucket_numbers_.erase(buckets_[bucket].wanted);
  buckets_.remove(bucket);
}

// -- stages -----------------------------------------------------------------------------------------------------------

void fair_queue::push(index stage, index account, index bucket, bool front, virtual_time clock, timestamp now) {
  auto at = find_entry(account, bucket);
  if (at == none)
    at = join(account, bucket, clock, now);
  auto& entry = entries_[at];
  if (links_.size() <= stage)
    links_.resize(std::max<std::size_t>(stage + 1, links_.size() * 2));
  auto& own = links_[stage];
  own = {none, none, at, front ? --entry.first_number : ++entry.last_number};
  auto& end = front ? entry.first : entry.last;
  if (entry.count == 0) {
    entry.first = entry.last = stage;
    entry.first_number = entry.last_number = own.number;
  } else if (front) {
    own.next = end;
    links_[end].previous = stage;
    end = stage;
  } else {
    own.previous = end;
    links_[end].next = stage;
    end = stage;
  }
  ++entry.count;
  ++buckets_[bucket].waiting;
  ++accounts_[account].waiting;
}

void fair_queue::remove(index stage) {
  auto own = links_[stage];
  auto& entry = entries_[own.entry];
  (own.previous == none ? entry.first : links_[own.previous].next) = own.next;
  (own.next == none ? entry.last : links_[own.next].previous) = own.previous;
  if (own.previous == none && own.next != none)
    entry.first_number = links_[own.next].number;
  links_[stage] = {};
  --entry.count;
  --buckets_[entry.bucket].waiting;
  --accounts_[entry.account].waiting;
  if (entry.count == 0)
    leave(own.entry);
}

index fair_queue::join(index account, index bucket, virtual_time clock, timestamp now) {
  auto& owner = accounts_[account];
  if (owner.waiting == 0)
    times_[account] = std::max(times_[account], clock); // idling earns nothing
  auto at = entries_.add({});
  places_.resize(std::max<std::size_t>(places_.size(), at + 1));
  auto& entry = entries_[at];
  entry.account = account;
  entry.bucket = bucket;
  entry.floor = clock;
  entry.ceiling = clock + debt_max_;
  entry.account_position = static_cast<index>(owner.entries.size());
  owner.entries.push_back(at);
  by_account_.insert(flat_index::hash_of(account, bucket), at);
  buckets_[bucket].weights += owner.weight;
  take_turn(at, now);
  return at;
}

void fair_queue::leave(index at) {
  park(at);
  const auto& entry = entries_[at];
  auto& owner = accounts_[entry.account];
  auto last = owner.entries.back();
  owner.entries[entry.account_position] = last;
  entries_[last].account_position = entry.account_position;
  owner.entries.pop_back();
  by_account_.erase(flat_index::hash_of(entry.account, entry.bucket), at);
  buckets_[entry.bucket].weights -= owner.weight;
  entries_.remove(at);
}

std::uint32_t fair_queue::ahead_in_line(index stage) const {
  const auto& own = links_[stage];
  const auto& entry = entries_[own.entry];
  return std::min(own.number - entry.first_number, entry.count - 1); // withdrawn ones leave gaps
}

index fair_queue::find_entry(index account, index bucket) const {
  return by_account_.find(flat_index::hash_of(account, bucket),
                          [&](index at) { return entries_[at].account == account && entries_[at].bucket == bucket; });
}

// -- turns ------------------------------------------------------------------------------------------------------------

virtual_time fair_queue::key_of(index at) const {
  const auto& entry = entries_[at];
  return std::min(std::max(times_[entry.account], entry.floor), entry.ceiling);
}

// What the key has risen to; the entry itself need not be looked at.
virtual_time fair_queue::key_now(const turn& t) const {
  return std::max(t.key, std::min(times_[t.account], t.ceiling));
}

index fair_queue::head(index bucket) {
  auto& turns = buckets_[bucket].turns;
  while (turns.open(places_, [this](const turn& t) { return key_now(t); })) {
    auto first = turns.first();
    if (at_cap(first.account)) {
      park(first.entry);
      continue;
    }
    auto key = key_now(first);
    if (key == first.key)
      return first.entry;
    first.key = key;
    turns.replace(first, places_);
  }
  return none;
}

index fair_queue::oldest(index bucket) {
  while (buckets_[bucket].oldest != none) {
    auto at = buckets_[bucket].oldest;
    if (!at_cap(entries_[at].account))
      return at;
    park(at);
  }
  return none;
}

void fair_queue::serve(index at, virtual_time amount, timestamp now) {
  auto key = key_of(at);
  auto& entry = entries_[at];
  auto& bucket = buckets_[entry.bucket];
  bucket.clock = std::max(bucket.clock, key);
  times_[entry.account] += amount;
  entry.floor = std::max(entry.floor, key) + amount;
  entry.ceiling = std::max(entry.floor, bucket.clock + debt_max_);
  unlink_aged(at);
  append_aged(at, now);
  if (entry.count > 1)
    bucket.turns.replace({key_of(at), entry.ceiling, ++order_, at, entry.account}, places_);
  remove(entry.first);
}

void fair_queue::unpark(index account, timestamp now, std::vector<index>& buckets) {
  if (at_cap(account))
    return;
  for (auto at : accounts_[account].entries) {
    if (in_turn(at))
      continue;
    auto& entry = entries_[at];
    entry.floor = std::max(entry.floor, buckets_[entry.bucket].clock); // the cap is a limit, not a claim on later
    entry.ceiling = std::max(entry.ceiling, entry.floor);
    take_turn(at, now);
    buckets.push_back(entry.bucket);
  }
}

void fair_queue::mend(index at) {
  if (!in_turn(at))
    return;
  const auto& entry = entries_[at];
  auto& turns = buckets_[entry.bucket].turns;
  auto order = turns.at(places_[at]).order;
  turns.replace({key_of(at), entry.ceiling, order, at, entry.account}, places_);
}

void fair_queue::take_turn(index at, timestamp now) {
  const auto& entry = entries_[at];
  buckets_[entry.bucket].turns.insert({key_of(at), entry.ceiling, ++order_, at, entry.account}, places_);
  append_aged(at, now);
}

void fair_queue::park(index at) {
  if (!in_turn(at))
    return;
  buckets_[entries_[at].bucket].turns.remove(at, places_);
  unlink_aged(at);
}

void fair_queue::append_aged(index at, timestamp now) {
  auto& entry = entries_[at];
  auto& bucket = buckets_[entry.bucket];
  entry.since = now;
  entry.older = bucket.newest;
  entry.newer = none;
  (bucket.newest == none ? bucket.oldest : entries_[bucket.newest].newer) = at;
  bucket.newest = at;
}

void fair_queue::unlink_aged(index at) {
  auto& entry = entries_[at];
  auto& bucket = buckets_[entry.bucket];
  (entry.older == none ? bucket.oldest : entries_[entry.older].newer) = entry.newer;
  (entry.newer == none ? bucket.newest : entries_[entry.newer].older) = entry.older;
  entry.older = entry.newer = none;
}

// -- promises ---------------------------------------------------------------------------------------------------------

void fair_queue::check_invariants() const {
  std::vector<std::uint32_t> waiting_of(accounts_.end()), in_bucket(buckets_.end());
  std::vector<std::uint64_t> weights(buckets_.end());
  for (index at = 0; at < entries_.end(); ++at) {
    if (!entries_.used(at))
      continue;
    const auto& entry = entries_[at];
    TROUPE_CHECK(find_entry(entry.account, entry.bucket) == at);
    std::uint32_t count = 0;
    for (auto stage = entry.first; stage != none; stage = links_[stage].next, ++count)
      TROUPE_CHECK(links_[stage].entry == at);
    TROUPE_CHECK(count == entry.count && count > 0);
    waiting_of[entry.account] += count;
    in_bucket[entry.bucket] += count;
    weights[entry.bucket] += accounts_[entry.account].weight;
    TROUPE_CHECK(accounts_[entry.account].entries.at(entry.account_position) == at);
    if (!in_turn(at))
      continue;
    const auto& t = buckets_[entry.bucket].turns.at(places_[at]);
    TROUPE_CHECK(t.entry == at && t.account == entry.account && t.ceiling == entry.ceiling);
    TROUPE_CHECK(key_now(t) >= key_of(at) && t.key - key_of(at) <= debt_max_ / 16);
  }
  for (index at = 0; at < accounts_.end(); ++at)
    TROUPE_CHECK(!accounts_.used(at) || accounts_[at].waiting == waiting_of[at]);
  for (index at = 0; at < buckets_.end(); ++at) {
    if (!buckets_.used(at))
      continue;
    const auto& bucket = buckets_[at];
    TROUPE_CHECK(bucket.waiting == in_bucket[at] && bucket.weights == weights[at]);
    bucket.turns.check_invariants(places_);
    std::size_t aged = 0;
    for (auto e = bucket.oldest; e != none; e = entries_[e].newer, ++aged)
      TROUPE_CHECK(entries_[e].newer == none || entries_[entries_[e].newer].since >= entries_[e].since);
    TROUPE_CHECK(aged == bucket.turns.size());
  }
}

} // namespace troupe::scheduling
