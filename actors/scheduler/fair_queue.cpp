#include "actors/scheduler/fair_queue.hpp"

#include <algorithm>

namespace troupe::scheduling {

namespace {

constexpr virtual_time owed_max = 15'000'000;   // more is given back at once
constexpr virtual_time credit_max = 60'000'000; // that waiting for what cannot be served earns

} // namespace

// -- accounts ---------------------------------------------------------------------------------------------------------

index fair_queue::find_account(const std::string& id) const {
  return account_by_id_.find(flat_index::hash_of(id), [&](index at) { return accounts_[at].id == id; });
}

index fair_queue::account(const std::string& id, std::uint32_t weight) {
  auto at = find_account(id);
  if (at == none) {
    at = accounts_.add();
    accounts_[at].id = id;
    uses_.resize(std::max(uses_.size(), (at + 1) * pools_.size()));
    for (index pool = 0; pool < pools_.size(); ++pool)
      use(at, pool) = {};
    account_by_id_.insert(flat_index::hash_of(id), at);
  }
  auto& record = accounts_[at];
  if (record.weight != weight) {
    for (auto line : record.lines) {
      auto& weights = buckets_[lines_[line].bucket].weights;
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

void fair_queue::correct(index account, std::span<const index> pools, virtual_time amount) {
  auto most_owed = virtual_time{0};
  for (auto pool : pools) {
    auto& own = use(account, pool);
    own.time += std::max<virtual_time>(0, amount - own.owed);
    own.owed = std::max<virtual_time>(0, own.owed - amount);
    most_owed = std::max(most_owed, own.owed);
  }
  if (most_owed > owed_max || accounts_[account].lines.empty())
    settle_debt(account);
}

// Its times go back, and with them its keys; those in the orders must not be higher, so each line takes a new turn.
void fair_queue::settle_debt(index account) {
  for (index pool = 0; pool < pools_.size(); ++pool) {
    auto& own = use(account, pool);
    if (own.owed == 0)
      continue;
    auto in_order = own.ticket != 0;
    take_out(account, pool);
    own.time -= std::exchange(own.owed, 0);
    if (in_order)
      file(account, pool);
  }
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

index fair_queue::add_pool(index like) {
  decltype(uses_) wider((pools_.size() + 1) * accounts_.end());
  for (index account = 0; account < accounts_.end(); ++account) {
    auto* own = &wider[account * (pools_.size() + 1)];
    for (index pool = 0; pool < pools_.size(); ++pool)
      own[pool] = use(account, pool);
    if (like != none) {
      own[pools_.size()].time = own[like].time;
      own[pools_.size()].owed = own[like].owed;
    }
  }
  uses_.swap(wider);
  pools_.emplace_back();
  return static_cast<index>(pools_.size() - 1);
}

void fair_queue::take_bit(index bucket) {
  auto& front = fronts_[bucket];
  auto& pool = pools_[front.pool];
  auto bit = std::min_element(pool.buckets.begin(), pool.buckets.end(),
                              [](const auto& a, const auto& b) { return a.size() < b.size(); });
  bit->push_back(bucket);
  front.bit = static_cast<std::uint8_t>(bit - pool.buckets.begin());
  pool.shares_bits |= bit->size() > 1;
}

void fair_queue::give_bit(index bucket) {
  auto& pool = pools_[fronts_[bucket].pool];
  std::erase(pool.buckets[fronts_[bucket].bit], bucket);
  pool.shares_bits = std::any_of(pool.buckets.begin(), pool.buckets.end(), [](const auto& b) { return b.size() > 1; });
}

void fair_queue::move(index bucket, index pool) {
  auto each_line = [&](auto what) {
    for (index at = 0; at < lines_.end(); ++at)
      if (lines_.used(at) && lines_[at].bucket == bucket)
        what(lines_[at]);
  };
  give_bit(bucket); // first: who shares the bit keeps it
  each_line([this](const auto& line) { exit(line); });
  fronts_[bucket].pool = pool;
  take_bit(bucket);
  each_line([this](const auto& line) { enter(line); });
}

index fair_queue::add_bucket(requirement wanted, index pool) {
  auto at = buckets_.add();
  buckets_[at].wanted = wanted;
  fronts_.resize(std::max<std::size_t>(fronts_.size(), at + 1));
  fronts_[at] = {wanted.vram_mib, wanted.model, pool, 0, wanted.priority, true, !wanted.excluded.empty()};
  take_bit(at);
  bucket_numbers_.emplace(std::move(wanted), at);
  return at;
}

void fair_queue::remove_bucket(index bucket) {
  TROUPE_CHECK(buckets_[bucket].waiting == 0);
  give_bit(bucket);
  bucket_numbers_.erase(buckets_[bucket].wanted);
  buckets_.remove(bucket);
}

// -- stages -----------------------------------------------------------------------------------------------------------

void fair_queue::push(index stage, index account, index bucket, bool front, virtual_time clock, timestamp now) {
  auto at = find_line(account, bucket);
  if (at == none)
    at = join(account, bucket, clock, now);
  auto& line = lines_[at];
  auto& own = stages_[stage];
  own.where = at;
  own.next = own.previous = none;
  own.number = 0;
  if (line.count == 0) {
    line.first = line.last = stage;
  } else if (front) {
    own.number = stages_[line.first].number - 1;
    own.next = line.first;
    stages_[line.first].previous = stage;
    line.first = stage;
  } else {
    own.number = stages_[line.last].number + 1;
    own.previous = line.last;
    stages_[line.last].next = stage;
    line.last = stage;
  }
  ++line.count;
  ++buckets_[bucket].waiting;
  ++accounts_[account].waiting;
}

// The first of a line may still name one before it, which has gone: that it is the first is what counts.
void fair_queue::remove(index stage) {
  auto& own = stages_[stage];
  auto at = own.where;
  auto& line = lines_[at];
  if (line.count == 1) {
    line.first = line.last = none;
  } else if (line.first == stage) {
    line.first = own.next;
  } else if (line.last == stage) {
    line.last = own.previous;
    stages_[own.previous].next = none;
  } else {
    stages_[own.previous].next = own.next;
    stages_[own.next].previous = own.previous;
  }
  own.where = own.next = own.previous = none;
  --line.count;
  --buckets_[line.bucket].waiting;
  --accounts_[line.account].waiting;
  if (line.count == 0)
    leave(at);
}

index fair_queue::join(index account, index bucket, virtual_time clock, timestamp now) {
  auto& owner = accounts_[account];
  auto& own = use(account, fronts_[bucket].pool);
  // Idling earns nothing, and a line where nothing can be served not much.
  auto earliest = own.lines == 0 ? clock : clock - credit_max;
  own.time = std::max(own.time, earliest);
  own.owed = std::min(own.owed, own.time - earliest);
  auto at = lines_.add();
  auto& line = lines_[at];
  line.account = account;
  line.bucket = bucket;
  line.account_position = static_cast<index>(owner.lines.size());
  owner.lines.push_back(at);
  by_account_.insert(flat_index::hash_of(account, bucket), at);
  buckets_[bucket].weights += owner.weight;
  ++buckets_[bucket].lines;
  fronts_[bucket].empty = false;
  enter(line);
  append_aged(at, now);
  return at;
}

void fair_queue::leave(index at) {
  const auto& line = lines_[at];
  auto& owner = accounts_[line.account];
  auto last = owner.lines.back();
  owner.lines[line.account_position] = last;
  lines_[last].account_position = line.account_position;
  owner.lines.pop_back();
  by_account_.erase(flat_index::hash_of(line.account, line.bucket), at);
  buckets_[line.bucket].weights -= owner.weight;
  fronts_[line.bucket].empty = --buckets_[line.bucket].lines == 0;
  exit(line);
  if (owner.lines.empty())
    settle_debt(line.account);
  lines_.remove(at);
}

std::uint32_t fair_queue::ahead_in_line(index stage) const {
  const auto& own = stages_[stage];
  const auto& line = lines_[own.where];
  return std::min<std::uint32_t>(own.number - stages_[line.first].number, line.count - 1); // withdrawn ones leave gaps
}

bool fair_queue::is_next(index line) const {
  const auto& own = lines_[line];
  const auto& front = fronts_[own.bucket];
  const auto& order = pools_[front.pool].order;
  auto first = order.find(front.work());
  return first && order[*first].account == own.account;
}

index fair_queue::find_line(index account, index bucket) const {
  return by_account_.find(flat_index::hash_of(account, bucket),
                          [&](index at) { return lines_[at].account == account && lines_[at].bucket == bucket; });
}

// -- turns ------------------------------------------------------------------------------------------------------------

// The line counts in its pool.
void fair_queue::enter(const line_record& line) {
  const auto& front = fronts_[line.bucket];
  auto& own = use(line.account, front.pool);
  auto& order = pools_[front.pool].order;
  ++own.lines;
  own.work |= front.work();
  if (own.ticket == 0)
    file(line.account, front.pool);
  else
    order.set_work(order.find(own.key, own.ticket), own.work);
}

void fair_queue::exit(const line_record& line) {
  const auto& front = fronts_[line.bucket];
  auto& own = use(line.account, front.pool);
  const auto& alike = pools_[front.pool].buckets[front.bit];
  if (std::none_of(alike.begin(), alike.end(), [&](index b) { return find_line(line.account, b) != none; }))
    own.work &= ~front.work(); // its place in the order learns of it when it comes up
  if (--own.lines == 0)
    take_out(line.account, front.pool);
}

void fair_queue::file(index account, index pool) {
  auto& own = use(account, pool);
  own.key = own.time;
  own.ticket = ++tickets_;
  pools_[pool].order.insert({own.key, own.ticket, own.work, account});
}

void fair_queue::take_out(index account, index pool) {
  auto& own = use(account, pool);
  auto& order = pools_[pool].order;
  if (own.ticket != 0)
    order.erase(order.find(own.key, own.ticket));
  own.ticket = 0;
}

// The first with such work whose place is as its time is, and that is not at its cap. Those are taken out.
std::optional<account_order::place> fair_queue::mended(index pool, std::uint64_t work, account_order::place from) {
  auto& order = pools_[pool].order;
  auto at = order.find(work, from);
  for (; at; at = order.find(work, *at)) {
    auto found = order[*at];
    auto& own = use(found.account, pool);
    if (at_cap(found.account) || own.time != found.key) {
      order.erase(*at);
      own.ticket = 0;
      if (!at_cap(found.account))
        file(found.account, pool);
    } else if (own.work != found.work) {
      order.set_work(*at, own.work);
    } else {
      break;
    }
  }
  return at;
}

index fair_queue::head(index bucket) {
  const auto& front = fronts_[bucket];
  auto is_this = [bucket](index other) { return other == bucket; };
  auto next = first(front.pool, front.work(), is_this);
  return next ? find_line(next->account, bucket) : none;
}

bool fair_queue::counts(const aged_line& aged, index bucket) const {
  const auto& line = lines_[aged.line];
  return line.count > 0 && line.bucket == bucket && line.since == aged.since && !line.parked;
}

index fair_queue::oldest(index bucket, timestamp latest) {
  auto& own = buckets_[bucket];
  while (own.aged_first < own.aged.size() && own.aged[own.aged_first].since <= latest) {
    auto first = own.aged[own.aged_first];
    if (counts(first, bucket)) {
      auto& line = lines_[first.line];
      if (!at_cap(line.account))
        return first.line;
      line.parked = true;
      line.since = never;
    }
    if (++own.aged_first + 4 < own.aged.size())
      prefetch(&lines_[own.aged[own.aged_first + 4].line]);
  }
  return none;
}

void fair_queue::serve(index at, std::span<const index> pools, virtual_time amount, timestamp now) {
  const auto& line = lines_[at];
  for (auto pool : pools) {
    auto& own = use(line.account, pool);
    auto paid = std::min(amount, own.owed);
    own.owed -= paid;
    own.time += amount - paid;
  }
  use(line.account, fronts_[line.bucket].pool).served = fronts_[line.bucket].bit;
  if (line.count > 1)
    append_aged(at, now);
  remove(line.first);
}

void fair_queue::append_aged(index at, timestamp now) {
  auto& line = lines_[at];
  if (line.since == now) // it is there already
    return;
  line.since = now;
  constexpr std::size_t lying_max = 64;
  auto& bucket = buckets_[line.bucket];
  if (bucket.aged.size() > 2 * (bucket.lines + lying_max))
    sweep_aged(line.bucket);
  bucket.aged.push_back({now, at});
}

void fair_queue::sweep_aged(index bucket) {
  auto& own = buckets_[bucket];
  std::size_t kept = 0;
  for (auto i = own.aged_first; i < own.aged.size(); ++i) {
    constexpr std::size_t ahead = 8;
    if (i + ahead < own.aged.size())
      prefetch(&lines_[own.aged[i + ahead].line]);
    if (counts(own.aged[i], bucket))
      own.aged[kept++] = own.aged[i];
  }
  own.aged.resize(kept);
  own.aged_first = 0;
}

// -- promises ---------------------------------------------------------------------------------------------------------

void fair_queue::check_line(index at) const {
  const auto& line = lines_[at];
  TROUPE_CHECK(find_line(line.account, line.bucket) == at);
  TROUPE_CHECK(accounts_[line.account].lines.at(line.account_position) == at);
  std::uint32_t count = 0;
  for (auto stage = line.first; stage != none; stage = stages_[stage].next, ++count) {
    TROUPE_CHECK(stages_[stage].where == at && !stages_[stage].runs);
    TROUPE_CHECK(stage == line.first || stages_[stages_[stage].previous].next == stage);
    TROUPE_CHECK(stages_[stage].next != none || line.last == stage);
  }
  TROUPE_CHECK(count == line.count && count > 0);
  TROUPE_CHECK((use(line.account, fronts_[line.bucket].pool).work & fronts_[line.bucket].work()) != 0);
  const auto& aged = buckets_[line.bucket].aged;
  auto listed = std::any_of(aged.begin() + static_cast<std::ptrdiff_t>(buckets_[line.bucket].aged_first), aged.end(),
                            [&](const auto& a) { return a.line == at && counts(a, line.bucket); });
  TROUPE_CHECK(listed || line.parked);
}

void fair_queue::check_bucket(index at) const {
  const auto& bucket = buckets_[at];
  TROUPE_CHECK(fronts_[at].empty == (bucket.lines == 0) && fronts_[at].pool < pools_.size());
  TROUPE_CHECK(std::is_sorted(bucket.aged.begin(), bucket.aged.end(),
                              [](const auto& a, const auto& b) { return a.since < b.since; }));
}

void fair_queue::check_pool(index pool) const {
  const auto& order = pools_[pool].order;
  order.check_invariants();
  std::size_t filed = 0, listed = 0;
  order.for_each([&](const account_order::entry& e) {
    ++listed;
    const auto& own = use(e.account, pool);
    TROUPE_CHECK(own.ticket == e.ticket && own.key == e.key && e.key <= own.time && (own.work & ~e.work) == 0);
  });
  for (index account = 0; account < accounts_.end(); ++account) {
    const auto& own = use(account, pool);
    filed += own.ticket != 0 ? 1 : 0;
    TROUPE_CHECK((own.lines == 0) == (own.work == 0) && own.owed >= 0);
    TROUPE_CHECK(own.lines == 0 ? own.ticket == 0 : own.ticket != 0 || at_cap(account));
  }
  TROUPE_CHECK(filed == listed);
}

void fair_queue::check_invariants() const {
  std::vector<std::uint32_t> waiting_of(accounts_.end()), in_bucket(buckets_.end()), lines_in(buckets_.end()),
      lines_of(accounts_.end() * pools_.size());
  std::vector<std::uint64_t> weights(buckets_.end());
  for (index at = 0; at < lines_.end(); ++at) {
    if (!lines_.used(at))
      continue;
    check_line(at);
    const auto& line = lines_[at];
    waiting_of[line.account] += line.count;
    in_bucket[line.bucket] += line.count;
    ++lines_in[line.bucket];
    weights[line.bucket] += accounts_[line.account].weight;
    ++lines_of[line.account * pools_.size() + fronts_[line.bucket].pool];
  }
  for (index at = 0; at < accounts_.end(); ++at)
    TROUPE_CHECK(!accounts_.used(at) || accounts_[at].waiting == waiting_of[at]);
  TROUPE_CHECK(uses_.size() == lines_of.size());
  for (std::size_t at = 0; at < uses_.size(); ++at)
    TROUPE_CHECK(uses_[at].lines == lines_of[at]);
  for (index pool = 0; pool < pools_.size(); ++pool)
    check_pool(pool);
  for (index at = 0; at < buckets_.end(); ++at) {
    if (!buckets_.used(at))
      continue;
    const auto& bucket = buckets_[at];
    TROUPE_CHECK(bucket.waiting == in_bucket[at] && bucket.weights == weights[at] && bucket.lines == lines_in[at]);
    check_bucket(at);
  }
}

} // namespace troupe::scheduling
