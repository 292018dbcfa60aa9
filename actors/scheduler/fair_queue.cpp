#include "actors/scheduler/fair_queue.hpp"

#include <algorithm>

namespace troupe::scheduling {

// -- accounts ---------------------------------------------------------------------------------------------------------

index fair_queue::find_account(const std::string& id) const {
  auto known = account_numbers_.find(id);
  return known == account_numbers_.end() ? none : known->second;
}

index fair_queue::account(const std::string& id, std::uint32_t weight) {
  auto at = find_account(id);
  if (at == none) {
    at = accounts_.add({});
    accounts_[at].id = id;
    account_numbers_.emplace(id, at);
  }
  auto& record = accounts_[at];
  if (record.weight != weight) {
    for (auto e = record.entries; e != none; e = entries_[e].next_of_account) {
      auto& weights = buckets_[entries_[e].bucket].weights;
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
  record.time += amount;
  auto own = find_entry(account, bucket);
  if (own != none)
    entries_[own].floor += amount;
  if (amount >= 0)
    return; // higher keys are mended when they come up
  // Lower keys are mended at once here, and elsewhere when it adds up: an account may lie in many buckets.
  if (own != none)
    mend(own);
  record.credit -= amount;
  if (record.credit < debt_max_ / 16)
    return;
  record.credit = 0;
  for (auto e = record.entries; e != none; e = entries_[e].next_of_account)
    mend(e);
}

void fair_queue::forget_idle(timestamp before) {
  for (int looked = 0; looked < 1000 && accounts_.size() > 0 && looked < static_cast<int>(accounts_.end()); ++looked) {
    sweep_ = sweep_ + 1 < accounts_.end() ? sweep_ + 1 : 0;
    if (!accounts_.used(sweep_))
      continue;
    const auto& record = accounts_[sweep_];
    if (record.waiting == 0 && record.running == 0 && record.idle_since < before) {
      account_numbers_.erase(record.id);
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
    owner.time = std::max(owner.time, clock); // idling earns nothing
  auto at = entries_.add({});
  auto& entry = entries_[at];
  entry.account = account;
  entry.bucket = bucket;
  entry.floor = clock;
  entry.ceiling = clock + debt_max_;
  entry.next_of_account = owner.entries;
  if (owner.entries != none)
    entries_[owner.entries].previous_of_account = at;
  owner.entries = at;
  by_account_.insert(flat_index::key(account, bucket), at);
  buckets_[bucket].weights += owner.weight;
  insert_in_heap(at, now);
  return at;
}

void fair_queue::leave(index at) {
  take_from_heap(at);
  auto& entry = entries_[at];
  auto& owner = accounts_[entry.account];
  (entry.previous_of_account == none ? owner.entries : entries_[entry.previous_of_account].next_of_account) =
      entry.next_of_account;
  if (entry.next_of_account != none)
    entries_[entry.next_of_account].previous_of_account = entry.previous_of_account;
  by_account_.erase(flat_index::key(entry.account, entry.bucket));
  buckets_[entry.bucket].weights -= owner.weight;
  entries_.remove(at);
}

std::uint32_t fair_queue::ahead_in_line(index stage) const {
  const auto& own = links_[stage];
  const auto& entry = entries_[own.entry];
  return std::min(own.number - entry.first_number, entry.count - 1); // withdrawn ones leave gaps
}

// -- turns ------------------------------------------------------------------------------------------------------------

virtual_time fair_queue::key_of(index at) const {
  const auto& entry = entries_[at];
  return std::min(std::max(accounts_[entry.account].time, entry.floor), entry.ceiling);
}

index fair_queue::head(index bucket) {
  auto& heap = buckets_[bucket].heap;
  while (!heap.empty()) {
    auto at = heap.front().entry;
    if (at_cap(entries_[at].account)) {
      take_from_heap(at);
      continue;
    }
    auto key = key_of(at);
    if (key <= heap.front().key)
      return at;
    heap.front().key = key;
    sift_down(buckets_[bucket], 0);
  }
  return none;
}

index fair_queue::oldest(index bucket) {
  while (buckets_[bucket].oldest != none) {
    auto at = buckets_[bucket].oldest;
    if (!at_cap(entries_[at].account))
      return at;
    take_from_heap(at);
  }
  return none;
}

void fair_queue::serve(index at, virtual_time amount, timestamp now) {
  auto key = key_of(at);
  auto& entry = entries_[at];
  auto& bucket = buckets_[entry.bucket];
  bucket.clock = std::max(bucket.clock, key);
  accounts_[entry.account].time += amount;
  entry.floor = std::max(entry.floor, key) + amount;
  entry.ceiling = std::max(entry.floor, bucket.clock + debt_max_);
  unlink_aged(at);
  append_aged(at, now);
  bucket.heap[entry.heap_position].order = ++order_;
  mend(at);
  remove(entry.first);
}

void fair_queue::unpark(index account, timestamp now, std::vector<index>& buckets) {
  if (at_cap(account))
    return;
  for (auto at = accounts_[account].entries; at != none; at = entries_[at].next_of_account) {
    auto& entry = entries_[at];
    if (entry.heap_position != none)
      continue;
    entry.floor = std::max(entry.floor, buckets_[entry.bucket].clock); // the cap is a limit, not a claim on later
    entry.ceiling = std::max(entry.ceiling, entry.floor);
    insert_in_heap(at, now);
    buckets.push_back(entry.bucket);
  }
}

// -- the heap ---------------------------------------------------------------------------------------------------------

namespace {

bool before(const heap_node& a, const heap_node& b) { return a.key != b.key ? a.key < b.key : a.order < b.order; }

} // namespace

void fair_queue::set(bucket_record& bucket, std::size_t at, heap_node node) {
  bucket.heap[at] = node;
  entries_[node.entry].heap_position = static_cast<index>(at);
}

void fair_queue::sift_up(bucket_record& bucket, std::size_t at) {
  auto node = bucket.heap[at];
  for (; at > 0; at = (at - 1) / 4) {
    auto parent = bucket.heap[(at - 1) / 4];
    if (!before(node, parent))
      break;
    set(bucket, at, parent);
  }
  set(bucket, at, node);
}

void fair_queue::sift_down(bucket_record& bucket, std::size_t at) {
  auto& heap = bucket.heap;
  auto node = heap[at];
  for (;;) {
    auto first = at * 4 + 1;
    if (first >= heap.size())
      break;
    auto least = first;
    for (auto child = first + 1; child < std::min(first + 4, heap.size()); ++child)
      if (before(heap[child], heap[least]))
        least = child;
    if (!before(heap[least], node))
      break;
    set(bucket, at, heap[least]);
    at = least;
  }
  set(bucket, at, node);
}

void fair_queue::mend(index at) {
  auto& entry = entries_[at];
  if (entry.heap_position == none)
    return;
  auto& bucket = buckets_[entry.bucket];
  bucket.heap[entry.heap_position].key = key_of(at);
  sift_up(bucket, entry.heap_position);
  sift_down(bucket, entry.heap_position);
}

void fair_queue::insert_in_heap(index at, timestamp now) {
  auto& bucket = buckets_[entries_[at].bucket];
  bucket.heap.push_back({key_of(at), ++order_, at});
  sift_up(bucket, bucket.heap.size() - 1);
  append_aged(at, now);
}

void fair_queue::take_from_heap(index at) {
  auto& entry = entries_[at];
  if (entry.heap_position == none)
    return;
  auto& bucket = buckets_[entry.bucket];
  auto hole = entry.heap_position;
  auto last = bucket.heap.back();
  bucket.heap.pop_back();
  entry.heap_position = none;
  if (hole < bucket.heap.size()) {
    set(bucket, hole, last);
    sift_up(bucket, hole);
    sift_down(bucket, entries_[last.entry].heap_position);
  }
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
    if (entry.heap_position != none)
      TROUPE_CHECK(buckets_[entry.bucket].heap[entry.heap_position].entry == at);
  }
  for (index at = 0; at < accounts_.end(); ++at)
    TROUPE_CHECK(!accounts_.used(at) || accounts_[at].waiting == waiting_of[at]);
  for (index at = 0; at < buckets_.end(); ++at) {
    if (!buckets_.used(at))
      continue;
    const auto& bucket = buckets_[at];
    TROUPE_CHECK(bucket.waiting == in_bucket[at] && bucket.weights == weights[at]);
    for (std::size_t i = 1; i < bucket.heap.size(); ++i)
      TROUPE_CHECK(!before(bucket.heap[i], bucket.heap[(i - 1) / 4]));
    std::size_t aged = 0;
    for (auto e = bucket.oldest; e != none; e = entries_[e].newer, ++aged)
      TROUPE_CHECK(entries_[e].newer == none || entries_[entries_[e].newer].since >= entries_[e].since);
    TROUPE_CHECK(aged == bucket.heap.size());
  }
}

} // namespace troupe::scheduling
