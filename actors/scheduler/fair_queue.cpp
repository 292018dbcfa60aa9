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
    at = accounts_.add();
    accounts_[at].id = id;
    times_.resize(std::max<std::size_t>(times_.size(), at + 1));
    times_[at] = 0;
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

void fair_queue::correct(index account, index bucket, index line, virtual_time amount) {
  auto& record = accounts_[account];
  auto more = std::max<virtual_time>(0, amount - record.owed);
  record.owed = std::max<virtual_time>(0, record.owed - amount);
  times_[account] += more;
  if (line == none || lines_[line].account != account || lines_[line].bucket != bucket)
    line = find_line(account, bucket);
  if (line != none) {
    auto& own = lines_[line];
    own.floor += std::max<virtual_time>(0, amount - own.owed);
    own.owed = std::max<virtual_time>(0, own.owed - amount);
  }
  if (record.owed > debt_max_ / 4 || record.lines.empty())
    settle_debt(account);
}

// Its time goes back, and with it its keys; those in the orders must not be higher, so each line takes a new turn.
void fair_queue::settle_debt(index account) {
  auto& record = accounts_[account];
  times_[account] -= std::exchange(record.owed, 0);
  for (auto at : record.lines) {
    auto& line = lines_[at];
    line.floor -= std::exchange(line.owed, 0);
    if (line.ticket != 0) {
      lose_turn(at);
      take_turn(at);
    }
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

index fair_queue::add_bucket(requirement wanted) {
  auto at = buckets_.add();
  buckets_[at].wanted = wanted;
  fronts_.resize(std::max<std::size_t>(fronts_.size(), at + 1));
  fronts_[at] = {0, wanted.vram_mib, wanted.model, wanted.priority, true, !wanted.excluded.empty()};
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
  if (owner.waiting == 0) { // idling earns nothing
    times_[account] = std::max(times_[account], clock);
    owner.owed = std::min(owner.owed, times_[account] - clock);
  }
  auto at = lines_.add();
  auto& line = lines_[at];
  line.account = account;
  line.bucket = bucket;
  line.floor = clock;
  line.ceiling = clock + debt_max_;
  line.account_position = static_cast<index>(owner.lines.size());
  owner.lines.push_back(at);
  by_account_.insert(flat_index::hash_of(account, bucket), at);
  buckets_[bucket].weights += owner.weight;
  ++buckets_[bucket].lines;
  take_turn(at);
  append_aged(at, now);
  return at;
}

void fair_queue::leave(index at) {
  lose_turn(at);
  const auto& line = lines_[at];
  auto& owner = accounts_[line.account];
  auto last = owner.lines.back();
  owner.lines[line.account_position] = last;
  lines_[last].account_position = line.account_position;
  owner.lines.pop_back();
  by_account_.erase(flat_index::hash_of(line.account, line.bucket), at);
  buckets_[line.bucket].weights -= owner.weight;
  --buckets_[line.bucket].lines;
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
  return own.ticket != 0 && buckets_[own.bucket].turns.least().line == line;
}

index fair_queue::find_line(index account, index bucket) const {
  return by_account_.find(flat_index::hash_of(account, bucket),
                          [&](index at) { return lines_[at].account == account && lines_[at].bucket == bucket; });
}

// -- turns ------------------------------------------------------------------------------------------------------------

virtual_time fair_queue::key_of(index at) const {
  const auto& line = lines_[at];
  return std::min(std::max(times_[line.account], line.floor), line.ceiling);
}

// What the key has risen to, or less; the line itself need not be looked at.
virtual_time fair_queue::key_now(const turn& t) const {
  return std::max(t.key, std::min(times_[t.account], t.ceiling));
}

index fair_queue::head(index bucket) {
  auto& own = buckets_[bucket];
  auto out = none;
  while (out == none && own.turns.open([this](const turn& t) { return key_now(t); })) {
    auto first = own.turns.first();
    if (auto key = key_now(first); key != first.key) {
      own.turns.pop();
      first.key = key;
      own.turns.insert(first);
    } else if (!counts(first)) {
      own.turns.pop();
    } else if (at_cap(first.account)) {
      lose_turn(first.line);
      lines_[first.line].parked = true;
    } else if (key = key_of(first.line); key != first.key) {
      own.turns.pop();
      own.turns.insert({key, lines_[first.line].ceiling, first.ticket, first.line, first.account});
    } else {
      out = first.line;
      prefetch(&stages_[lines_[out].first]);
    }
  }
  show_front(bucket);
  return out;
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

void fair_queue::serve(index at, virtual_time amount, timestamp now) {
  auto key = key_of(at);
  auto& line = lines_[at];
  auto bucket = line.bucket;
  auto& own = buckets_[bucket];
  auto& account = accounts_[line.account];
  own.clock = std::max(own.clock, key);
  times_[line.account] += amount - std::min(amount, account.owed);
  account.owed -= std::min(amount, account.owed);
  line.floor = std::max(line.floor, key) + amount - std::min(amount, line.owed);
  line.owed -= std::min(amount, line.owed);
  line.ceiling = std::max(line.floor, own.clock + debt_max_);
  if (line.count > 1) {
    lose_turn(at);
    take_turn(at);
    append_aged(at, now);
  }
  remove(line.first);
}

void fair_queue::unpark(index account, timestamp now, std::vector<index>& buckets) {
  if (at_cap(account))
    return;
  for (auto at : accounts_[account].lines) {
    auto& line = lines_[at];
    if (!line.parked)
      continue;
    line.parked = false;
    line.since = never;                                             // what was said of it may have been swept away
    line.floor = std::max(line.floor, buckets_[line.bucket].clock); // the cap is a limit, not a claim on later
    line.ceiling = std::max(line.ceiling, line.floor);
    lose_turn(at);
    take_turn(at);
    append_aged(at, now);
    buckets.push_back(line.bucket);
  }
}

void fair_queue::take_turn(index at) {
  auto& line = lines_[at];
  line.ticket = ++tickets_;
  auto& bucket = buckets_[line.bucket];
  ++bucket.in_turn;
  bucket.turns.insert({key_of(at), line.ceiling, line.ticket, at, line.account});
  show_front(line.bucket);
}

// Its turn is left lying where it is not the first, and counts no more.
void fair_queue::lose_turn(index at) {
  auto& line = lines_[at];
  if (line.ticket == 0)
    return;
  constexpr std::size_t lying_max = 64;
  auto& bucket = buckets_[line.bucket];
  auto& turns = bucket.turns;
  auto is_first = turns.leads(line.ticket);
  line.ticket = 0;
  --bucket.in_turn;
  if (is_first)
    turns.pop();
  else if (turns.size() > 2 * bucket.in_turn + lying_max)
    turns.erase_if([this](const turn& t) { return !counts(t); });
  show_front(line.bucket);
}

void fair_queue::show_front(index bucket) {
  const auto& turns = buckets_[bucket].turns;
  fronts_[bucket].empty = turns.empty();
  if (turns.empty())
    return;
  fronts_[bucket].bound = turns.bound();
  expect(turns.likely_next());
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
  TROUPE_CHECK(line.ticket != 0 || line.parked);
  const auto& aged = buckets_[line.bucket].aged;
  auto listed = std::any_of(aged.begin() + static_cast<std::ptrdiff_t>(buckets_[line.bucket].aged_first), aged.end(),
                            [&](const auto& a) { return a.line == at && counts(a, line.bucket); });
  TROUPE_CHECK(listed || line.parked);
}

void fair_queue::check_bucket(index at) const {
  const auto& bucket = buckets_[at];
  bucket.turns.check_invariants();
  std::uint32_t in_turn = 0;
  bucket.turns.for_each([&](const turn& t) {
    if (!counts(t))
      return;
    ++in_turn;
    const auto& line = lines_[t.line];
    TROUPE_CHECK(line.bucket == at && line.account == t.account && t.key <= key_of(t.line));
    TROUPE_CHECK(t.ceiling <= line.ceiling && key_now(t) <= key_of(t.line));
  });
  TROUPE_CHECK(in_turn == bucket.in_turn);
  const auto& front = fronts_[at];
  TROUPE_CHECK(front.empty == bucket.turns.empty() && (front.empty || front.bound == bucket.turns.bound()));
  TROUPE_CHECK(std::is_sorted(bucket.aged.begin(), bucket.aged.end(),
                              [](const auto& a, const auto& b) { return a.since < b.since; }));
}

void fair_queue::check_invariants() const {
  std::vector<std::uint32_t> waiting_of(accounts_.end()), in_bucket(buckets_.end()), lines_in(buckets_.end());
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
  }
  for (index at = 0; at < accounts_.end(); ++at)
    TROUPE_CHECK(!accounts_.used(at) || (accounts_[at].waiting == waiting_of[at] && accounts_[at].owed >= 0));
  for (index at = 0; at < buckets_.end(); ++at) {
    if (!buckets_.used(at))
      continue;
    const auto& bucket = buckets_[at];
    TROUPE_CHECK(bucket.waiting == in_bucket[at] && bucket.weights == weights[at] && bucket.lines == lines_in[at]);
    check_bucket(at);
  }
}

} // namespace troupe::scheduling
