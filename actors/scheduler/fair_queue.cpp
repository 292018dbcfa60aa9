#include "actors/scheduler/fair_queue.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace troupe::scheduling {

namespace {

constexpr virtual_time owed_max = 15'000'000;   // more is given back at once
constexpr virtual_time credit_max = 60'000'000; // that waiting for what cannot be served earns, or for other devices

// A row of `to` for each of so many accounts, where there was one of `from`.
template <class T>
void widen(std::vector<T>& rows, std::size_t accounts, std::size_t from, std::size_t to) {
  std::vector<T> out(accounts * to);
  for (std::size_t account = 0; account < accounts; ++account)
    std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(account * from), from,
                out.begin() + static_cast<std::ptrdiff_t>(account * to));
  rows.swap(out);
}

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
    uses_.resize(std::max(uses_.size(), (at + 1) * pools_));
    for (index pool = 0; pool < pools_; ++pool)
      use(at, pool) = {};
    on_shelves_.resize(std::max(on_shelves_.size(), (at + 1) * shelves_.size()));
    for (index shelf = 0; shelf < shelves_.size(); ++shelf)
      on_shelf(at, shelf) = {};
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

// What is owed is paid first.
void fair_queue::bring(index account, index pool, virtual_time amount) {
  auto& own = use(account, pool);
  auto paid = std::min(amount, own.owed); // less than nothing where something is given back
  own.owed -= paid;
  own.time += amount - paid;
  auto& clock = clocks_[pool];
  if (auto now = own.time - own.owed; now >= clock.given || clock.account == account) {
    clock.given = now;
    clock.account = account;
  }
}

void fair_queue::charge(index account, std::span<const index> pools, virtual_time amount) {
  for (auto pool : pools) {
    bring(account, pool, amount);
    use(account, pool).running += amount;
  }
}

void fair_queue::settle(index account, std::span<const index> pools, virtual_time charged, virtual_time due) {
  auto most_owed = virtual_time{0};
  for (auto pool : pools) {
    auto& own = use(account, pool);
    bring(account, pool, due - charged);
    own.running = std::max<virtual_time>(0, own.running - charged); // the pool may have come since
    most_owed = std::max(most_owed, own.owed);
  }
  if (most_owed > owed_max || accounts_[account].lines.empty())
    settle_debt(account);
}

// Its times go back, and with them its keys; those in the orders must not be higher, so each line takes a new turn.
void fair_queue::settle_debt(index account) {
  for (index shelf = 0; shelf < shelves_.size(); ++shelf) {
    if (shelves_[shelf].pool == none || use(account, shelves_[shelf].pool).owed == 0)
      continue;
    if (auto& there = on_shelf(account, shelf); there.ticket != 0) {
      take_out(account, shelf);
      const auto& own = use(account, shelves_[shelf].pool);
      insert(account, shelf, own.time - own.owed);
    }
  }
  for (index pool = 0; pool < pools_; ++pool)
    use(account, pool).time -= std::exchange(use(account, pool).owed, 0);
}

void fair_queue::forget_idle(timestamp before) {
  for (int looked = 0; looked < 1000 && accounts_.size() > 0 && looked < static_cast<int>(accounts_.end()); ++looked) {
    sweep_ = sweep_ + 1 < accounts_.end() ? sweep_ + 1 : 0;
    if (!accounts_.used(sweep_))
      continue;
    const auto& record = accounts_[sweep_];
    if (record.waiting == 0 && record.running == 0 && record.idle_since < before) {
      account_by_id_.erase(flat_index::hash_of(record.id), sweep_);
      for (auto& clock : clocks_)
        clock.account = clock.account == sweep_ ? none : clock.account;
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
  widen(uses_, accounts_.end(), pools_, pools_ + 1);
  auto at = static_cast<index>(pools_++);
  clocks_.push_back(like == none ? pool_clock{} : clocks_[like]);
  if (like != none)
    for (index account = 0; account < accounts_.end(); ++account) {
      use(account, at).time = use(account, like).time;
      use(account, at).running = use(account, like).running;
      use(account, at).owed = use(account, like).owed;
      use(account, at).turn_at = use(account, like).turn_at;
    }
  return at;
}

void fair_queue::advance(index account, std::span<const index> pools) {
  for (auto pool : pools)
    clocks_[pool].time = std::max(clocks_[pool].time, settled(account, pool));
}

// A pool's stages may be long, so what its accounts were given counts, and not only what they have had.
void fair_queue::keep_up(std::span<const index> pools) {
  auto latest = std::numeric_limits<virtual_time>::min();
  for (auto pool : pools)
    latest = std::max(latest, clocks_[pool].time + clocks_[pool].offset);
  for (auto pool : pools) {
    auto& own = clocks_[pool];
    own.offset = std::max(own.offset, latest - credit_max - std::max(own.given, own.time));
  }
}

index fair_queue::add_shelf() {
  widen(on_shelves_, accounts_.end(), shelves_.size(), shelves_.size() + 1);
  shelves_.emplace_back();
  return static_cast<index>(shelves_.size() - 1);
}

// On a shelf of the bucket's pool that has room, or else an empty one.
void fair_queue::take_bit(index bucket) {
  auto& front = fronts_[bucket];
  auto has_room = [&](const shelf_record& s) { return s.pool == front.pool && ~s.taken != 0; };
  auto found = std::find_if(shelves_.begin(), shelves_.end(), has_room);
  if (found == shelves_.end())
    found = std::find_if(shelves_.begin(), shelves_.end(), [](const shelf_record& s) { return s.taken == 0; });
  front.shelf = found == shelves_.end() ? add_shelf() : static_cast<index>(found - shelves_.begin());
  auto& shelf = shelves_[front.shelf];
  front.bit = static_cast<std::uint8_t>(std::countr_one(shelf.taken));
  shelf.pool = front.pool;
  shelf.taken |= front.work();
  shelf.buckets[front.bit] = bucket;
}

void fair_queue::give_bit(index bucket) {
  const auto& front = fronts_[bucket];
  auto& shelf = shelves_[front.shelf];
  shelf.taken &= ~front.work();
  if (shelf.taken == 0)
    shelf.pool = none;
}

void fair_queue::move(index bucket, index pool) {
  auto each_line = [&](auto what) {
    for (index at = 0; at < lines_.end(); ++at)
      if (lines_.used(at) && lines_[at].bucket == bucket)
        what(lines_[at]);
  };
  each_line([this](const auto& line) { exit(line); });
  give_bit(bucket);
  fronts_[bucket].pool = pool;
  take_bit(bucket);
  each_line([this](const auto& line) { enter(line); });
}

index fair_queue::add_bucket(requirement wanted, index pool) {
  auto at = buckets_.add();
  buckets_[at].wanted = wanted;
  fronts_.resize(std::max<std::size_t>(fronts_.size(), at + 1));
  fronts_[at] = {wanted.vram_mib,         wanted.kind, wanted.model, pool, none, 0, wanted.priority, true,
                 !wanted.excluded.empty()};
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

void fair_queue::push(index stage, index account, index bucket, bool front, timestamp now) {
  auto at = find_line(account, bucket);
  if (at == none)
    at = join(account, bucket, now);
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

// What it was not given is no use, so its own turns stay as far away as they were.
void fair_queue::raise(pool_use& own, virtual_time earliest) {
  auto by = std::max<virtual_time>(0, earliest - own.time);
  own.time += by;
  own.turn_at += by;
}

index fair_queue::join(index account, index bucket, timestamp now) {
  auto& owner = accounts_[account];
  auto pool = fronts_[bucket].pool;
  auto& own = use(account, pool);
  // Idling earns nothing, and a line where nothing can be served not much.
  auto earliest = clocks_[pool].time - (own.lines == 0 ? 0 : credit_max);
  raise(own, earliest);
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
  if (--buckets_[line.bucket].lines == 0) {
    fronts_[line.bucket].empty = true;
    buckets_[line.bucket].passed_over = never;
  }
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
  const auto& order = shelves_[front.shelf].order;
  auto next = order.find(front.work());
  return next && order[*next].account == own.account;
}

index fair_queue::find_line(index account, index bucket) const {
  return by_account_.find(flat_index::hash_of(account, bucket),
                          [&](index at) { return lines_[at].account == account && lines_[at].bucket == bucket; });
}

// -- turns ------------------------------------------------------------------------------------------------------------

// The line counts in its pool, and its account waits on its shelf: from unpark() on where it is at its cap. It may have
// come from another shelf, and what has room for it looked there already.
void fair_queue::enter(const line_record& line) {
  const auto& front = fronts_[line.bucket];
  auto& there = on_shelf(line.account, front.shelf);
  auto& order = shelves_[front.shelf].order;
  ++use(line.account, front.pool).lines;
  there.work |= front.work();
  if (there.ticket != 0)
    order.set_work(order.find(there.key, there.ticket), there.work);
  else if (!at_cap(line.account))
    file(line.account, front.shelf);
}

void fair_queue::exit(const line_record& line) {
  const auto& front = fronts_[line.bucket];
  auto& there = on_shelf(line.account, front.shelf);
  --use(line.account, front.pool).lines;
  there.work &= ~front.work(); // the order learns of it when it comes up
  if (there.work == 0)
    take_out(line.account, front.shelf);
}

void fair_queue::file(index account, index shelf) { insert(account, shelf, time(account, shelves_[shelf].pool)); }

void fair_queue::insert(index account, index shelf, virtual_time key) {
  auto& there = on_shelf(account, shelf);
  there.key = key;
  there.ticket = ++tickets_;
  shelves_[shelf].order.insert({key, there.ticket, there.work, account});
}

void fair_queue::take_out(index account, index shelf) {
  auto& there = on_shelf(account, shelf);
  auto& order = shelves_[shelf].order;
  if (there.ticket != 0)
    order.erase(order.find(there.key, there.ticket));
  there.ticket = 0;
}

// Who comes up and is at its cap is taken out; whose time has risen, or whose work is done, is put right.
std::optional<account_order::entry> fair_queue::first(index shelf, std::uint64_t work) {
  auto& order = shelves_[shelf].order;
  for (auto at = order.find(work); at; at = order.find(work, *at)) {
    const auto found = order[*at];
    auto& there = on_shelf(found.account, shelf);
    if (at_cap(found.account) || time(found.account, shelves_[shelf].pool) != found.key) {
      order.erase(*at);
      there.ticket = 0;
      if (!at_cap(found.account))
        file(found.account, shelf);
    } else if (there.work != found.work) {
      order.set_work(*at, there.work);
    } else {
      return account_order::entry{found.key + offset_of(shelf), found.ticket, found.work, found.account};
    }
  }
  return std::nullopt;
}

std::size_t fair_queue::turns_until(index account, index shelf) const {
  auto all = shelves_.size();
  return (shelf + all - use(account, shelves_[shelf].pool).served_from % all - 1) % all;
}

index fair_queue::line_of(index account, index shelf, std::uint64_t work) const {
  const auto& there = on_shelf(account, shelf);
  auto turned = static_cast<int>(there.served + 1); // one bucket after the other
  auto bit = static_cast<unsigned>(turned + std::countr_zero(std::rotr(there.work & work, turned))) % 64;
  return find_line(account, shelves_[shelf].buckets[bit]);
}

index fair_queue::head(index bucket) {
  const auto& front = fronts_[bucket];
  auto next = first(front.shelf, front.work());
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
  charge(line.account, pools, amount);
  const auto& front = fronts_[line.bucket];
  use(line.account, front.pool).served_from = front.shelf;
  on_shelf(line.account, front.shelf).served = front.bit;
  if (line.count > 1)
    append_aged(at, now);
  remove(line.first);
}

void fair_queue::unpark(index account, timestamp now, std::vector<index>& buckets) {
  if (at_cap(account))
    return;
  const auto& lines = accounts_[account].lines;
  for (auto at : lines) {
    auto& line = lines_[at];
    const auto& front = fronts_[line.bucket];
    if (on_shelf(account, front.shelf).ticket == 0) {
      raise(use(account, front.pool), clocks_[front.pool].time); // the cap is a limit, not a claim on later
      buckets.push_back(line.bucket);
    }
    if (line.parked) {
      line.parked = false;
      append_aged(at, now);
    }
  }
  for (auto at : lines)
    if (auto shelf = fronts_[lines_[at].bucket].shelf; on_shelf(account, shelf).ticket == 0)
      file(account, shelf);
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
  TROUPE_CHECK((on_shelf(line.account, fronts_[line.bucket].shelf).work & fronts_[line.bucket].work()) != 0);
  const auto& aged = buckets_[line.bucket].aged;
  auto listed = std::any_of(aged.begin() + static_cast<std::ptrdiff_t>(buckets_[line.bucket].aged_first), aged.end(),
                            [&](const auto& a) { return a.line == at && counts(a, line.bucket); });
  TROUPE_CHECK(listed || line.parked);
}

void fair_queue::check_bucket(index at) const {
  const auto& bucket = buckets_[at];
  TROUPE_CHECK(fronts_[at].empty == (bucket.lines == 0));
  TROUPE_CHECK(shelves_[fronts_[at].shelf].pool == fronts_[at].pool &&
               shelves_[fronts_[at].shelf].buckets[fronts_[at].bit] == at);
  TROUPE_CHECK(std::is_sorted(bucket.aged.begin(), bucket.aged.end(),
                              [](const auto& a, const auto& b) { return a.since < b.since; }));
}

void fair_queue::check_shelf(index at) const {
  const auto& shelf = shelves_[at];
  shelf.order.check_invariants();
  std::size_t filed = 0, listed = 0;
  shelf.order.for_each([&](const account_order::entry& e) {
    ++listed;
    const auto& there = on_shelf(e.account, at);
    TROUPE_CHECK(there.ticket == e.ticket && there.key == e.key && e.key <= time(e.account, shelf.pool));
    TROUPE_CHECK((there.work & ~e.work) == 0);
  });
  for (index account = 0; account < accounts_.end(); ++account) {
    const auto& there = on_shelf(account, at);
    filed += there.ticket != 0 ? 1 : 0;
    TROUPE_CHECK((there.work & ~shelf.taken) == 0);
    TROUPE_CHECK(there.work == 0 ? there.ticket == 0 : there.ticket != 0 || at_cap(account));
  }
  TROUPE_CHECK(filed == listed);
}

void fair_queue::check_invariants() const {
  std::vector<std::uint32_t> waiting_of(accounts_.end()), in_bucket(buckets_.end()), lines_in(buckets_.end()),
      lines_of(accounts_.end() * pools_);
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
    ++lines_of[line.account * pools_ + fronts_[line.bucket].pool];
  }
  for (index at = 0; at < accounts_.end(); ++at)
    TROUPE_CHECK(!accounts_.used(at) || accounts_[at].waiting == waiting_of[at]);
  TROUPE_CHECK(uses_.size() == lines_of.size());
  for (std::size_t at = 0; at < uses_.size(); ++at)
    TROUPE_CHECK(uses_[at].lines == lines_of[at] && uses_[at].owed >= 0);
  for (index at = 0; at < accounts_.end(); ++at)
    for (index pool = 0; pool < pools_; ++pool)
      TROUPE_CHECK(!accounts_.used(at) || accounts_[at].running > 0 || use(at, pool).running == 0);
  for (index at = 0; at < shelves_.size(); ++at)
    check_shelf(at);
  for (index at = 0; at < buckets_.end(); ++at) {
    if (!buckets_.used(at))
      continue;
    const auto& bucket = buckets_[at];
    TROUPE_CHECK(bucket.waiting == in_bucket[at] && bucket.weights == weights[at] && bucket.lines == lines_in[at]);
    check_bucket(at);
  }
}

} // namespace troupe::scheduling
