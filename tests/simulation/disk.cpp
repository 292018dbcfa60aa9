#include "tests/simulation/disk.hpp"

#include "storage/keys.hpp"

#include <algorithm>
#include <set>

namespace troupe::simulation {

using storage::batch;
using storage::commit_status;
using storage::erasure;
using storage::table;

// -- what was synced --------------------------------------------------------------------------------------------------

const durable::table_rows& durable::rows(table in) const {
  static const table_rows none;
  auto found = rows_.find(in);
  return found == rows_.end() ? none : found->second;
}

const durable::sequence& durable::feed(const std::string& account) const {
  static const sequence none;
  auto found = feeds_.find(account);
  return found == feeds_.end() ? none : found->second;
}

commit_status durable::judge(const batch& what) const {
  std::map<std::string, std::uint64_t> events, feeds;
  auto last_in = [](const auto& all, const auto& now, const std::string& name) {
    if (auto at = now.find(name); at != now.end())
      return at->second;
    auto at = all.find(name);
    return at == all.end() ? std::uint64_t{0} : at->second.last;
  };
  for (const auto& a : what.appends) {
    if (!storage::is_name(a.actor) || a.first_seq != last_in(events_, events, a.actor) + 1)
      return commit_status::conflict;
    events[a.actor] = a.first_seq - 1 + a.events.size();
  }
  for (const auto& f : what.feeds) {
    if (!storage::is_name(f.account.value) || f.first_id != last_in(feeds_, feeds, f.account.value) + 1)
      return commit_status::conflict;
    feeds[f.account.value] = f.first_id - 1 + f.entries.size();
  }
  for (const auto& s : what.snapshots)
    if (!storage::is_name(s.actor) || s.seq > last_in(events_, events, s.actor))
      return commit_status::conflict;
  std::map<std::pair<table, std::string>, bool> there;
  for (const auto& r : what.rows) {
    auto known = there.find({r.in, r.key});
    if (r.only_if_absent && (known == there.end() ? rows(r.in).contains(r.key) : known->second))
      return commit_status::exists;
    there[{r.in, r.key}] = r.value.has_value();
  }
  for (const auto& e : what.erasures) {
    if (!storage::is_name(e.name))
      return commit_status::conflict;
    auto covers = [&](const auto& s) { return s.actor == e.name && s.seq == last_in(events_, events, e.name); };
    if (e.what == erasure::part::past && std::none_of(what.snapshots.begin(), what.snapshots.end(), covers))
      return commit_status::conflict;
  }
  return commit_status::ok;
}

commit_status durable::apply(const batch& what) {
  if (auto verdict = judge(what); verdict != commit_status::ok)
    return verdict;
  for (const auto& a : what.appends) {
    auto& to = events_[a.actor];
    to.entries.insert(to.entries.end(), a.events.begin(), a.events.end());
    to.last += a.events.size();
  }
  for (const auto& f : what.feeds) {
    auto& to = feeds_[f.account.value];
    to.entries.insert(to.entries.end(), f.entries.begin(), f.entries.end());
    to.last += f.entries.size();
  }
  for (const auto& r : what.rows) {
    if (r.value)
      rows_[r.in][r.key] = *r.value;
    else
      rows_[r.in].erase(r.key);
  }
  for (const auto& s : what.snapshots)
    snapshots_[s.actor] = s;
  for (const auto& e : what.erasures)
    erase(e);
  return commit_status::ok;
}

void durable::erase(const erasure& what) {
  if (what.what == erasure::part::actor) {
    events_.erase(what.name);
    snapshots_.erase(what.name);
    return;
  }
  auto& from = what.what == erasure::part::log ? feeds_ : events_;
  auto found = from.find(what.name);
  if (found != from.end() && found->second.entries.size() > 1)
    found->second.entries.erase(found->second.entries.begin(), found->second.entries.end() - 1);
}

result<storage::replayed> durable::replay(const std::string& actor) const {
  if (!storage::is_name(actor))
    return fail("invalid", "not the name of an actor");
  storage::replayed out;
  if (auto found = snapshots_.find(actor); found != snapshots_.end())
    out.from = found->second;
  out.last_seq = out.from ? out.from->seq : 0;
  auto found = events_.find(actor);
  if (found == events_.end())
    return out;
  const auto& all = found->second;
  if (all.last > out.last_seq && out.last_seq + 1 < all.first())
    return fail("corrupt", "an event of " + actor + " is missing");
  for (auto seq = out.last_seq + 1; seq <= all.last; ++seq)
    out.events.push_back(all.entries[static_cast<std::size_t>(seq - all.first())]);
  out.last_seq = std::max(out.last_seq, all.last);
  return out;
}

std::vector<std::pair<std::uint64_t, std::string>> durable::events(const std::string& actor, std::uint64_t from,
                                                                   std::size_t count, bool newest_first) const {
  std::vector<std::pair<std::uint64_t, std::string>> out;
  auto found = events_.find(actor);
  if (found == events_.end() || found->second.entries.empty())
    return out;
  const auto& all = found->second;
  auto seq = newest_first ? std::min(from == 0 ? all.last : from, all.last) : std::max(from, all.first());
  for (; out.size() < count && seq >= all.first() && seq <= all.last; newest_first ? --seq : ++seq)
    out.emplace_back(seq, all.entries[static_cast<std::size_t>(seq - all.first())]);
  return out;
}

// -- the journal ------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t queue_max = 65'536, group_max = 8'192;
constexpr micros recovery_interval = 250 * millisecond;
constexpr std::uint64_t numbers_at_once = 1'000;

} // namespace

// The thread of storage/journal_thread.cpp, as events in time.
class simulated_database::journal_model final : public storage::journal,
                                                public std::enable_shared_from_this<journal_model> {
public:
  journal_model(durable& disk, const disk_behaviour& behaviour, timeline& time, dice luck, watcher written)
    : disk_(disk), behaviour_(behaviour), time_(time), luck_(luck), written_(std::move(written)) {}

  void commit(batch what, done then) override {
    if (dead_)
      return;
    if (queue_.size() >= queue_max) {
      ++counters_.refused;
      then(commit_status::full);
      return;
    }
    queue_.emplace_back(std::move(what), std::move(then));
    if (!busy_)
      wake(luck_.between(5, 100));
  }

  result<storage::replayed> replay(const std::string& actor) const override { return disk_.replay(actor); }
  result<std::vector<std::pair<std::uint64_t, std::string>>>
  events(const std::string& actor, std::uint64_t from, std::size_t count, bool newest_first) const override {
    return disk_.events(actor, from, count, newest_first);
  }
  void on_feed(std::function<void(const account_id&, std::uint64_t)> follow) override { follow_ = std::move(follow); }
  storage::journal_counters counters() const override { return counters_; }
  bool works() const { return state_ == commit_status::ok && behaviour_.answer == commit_status::ok; }

  void die() {
    if (std::exchange(dead_, true))
      return;
    // A batch that the disk refused may have got as far as a group that was not synced yet; see commit_status.
    auto& reached = state_ == commit_status::ok ? group_ : limbo_;
    if (luck_.permille(500))
      for (auto& [what, then] : reached)
        if (disk_.apply(what) == commit_status::ok)
          written_(what);
    queue_.clear();
    group_.clear();
    limbo_.clear();
  }

private:
  using entries = std::deque<std::pair<batch, done>>;

  void wake(micros delay) {
    busy_ = true;
    time_.after(delay, [weak = weak_from_this()] {
      if (auto self = weak.lock(); self && !self->dead_)
        self->begin_group();
    });
  }

  void begin_group() {
    while (!queue_.empty() && group_.size() < group_max) {
      group_.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    if (state_ != commit_status::ok)
      recover();
    if (state_ != commit_status::ok) {
      end_group(state_);
      return;
    }
    time_.after(luck_.between(behaviour_.sync_least, behaviour_.sync_most), [weak = weak_from_this()] {
      if (auto self = weak.lock(); self && !self->dead_)
        self->sync();
    });
  }

  void sync() {
    if (behaviour_.answer == commit_status::ok)
      return end_group(commit_status::ok);
    state_ = counters_.disk = behaviour_.answer;
    tried_at_ = time_.now();
    for (const auto& [what, then] : group_)
      limbo_.emplace_back(what, done{});
    end_group(state_);
  }

  void recover() {
    if (time_.now() - tried_at_ < recovery_interval)
      return;
    tried_at_ = time_.now();
    if (behaviour_.answer != commit_status::ok)
      return;
    limbo_.clear(); // the database is opened again, without what was not acknowledged
    state_ = counters_.disk = commit_status::ok;
  }

  void end_group(commit_status outcome) {
    std::vector<std::pair<done, commit_status>> answers;
    std::vector<std::pair<std::string, std::uint64_t>> grown;
    for (auto& [what, then] : group_) {
      auto status = outcome == commit_status::ok ? disk_.apply(what) : outcome;
      if (status == commit_status::ok) {
        ++counters_.batches;
        for (const auto& f : what.feeds)
          grown.emplace_back(f.account.value, f.first_id - 1 + f.entries.size());
        written_(what);
      } else {
        ++counters_.refused;
      }
      answers.emplace_back(std::move(then), status);
    }
    counters_.syncs += outcome == commit_status::ok ? 1 : 0;
    group_.clear();
    busy_ = false;
    if (follow_)
      for (const auto& [account, last] : grown)
        follow_(account_id{account}, last);
    auto self = shared_from_this();
    for (auto& [then, status] : answers)
      then(status);
    if (!queue_.empty() && !busy_)
      wake(luck_.between(5, 50));
    else if (state_ != commit_status::ok && !busy_)
      wake(recovery_interval);
  }

  durable& disk_;
  const disk_behaviour& behaviour_;
  timeline& time_;
  dice luck_;
  watcher written_;
  std::function<void(const account_id&, std::uint64_t)> follow_;
  entries queue_, group_, limbo_;
  bool busy_ = false, dead_ = false;
  commit_status state_ = commit_status::ok;
  micros tried_at_ = 0;
  storage::journal_counters counters_;
};

simulated_database::simulated_database(durable& disk, const disk_behaviour& behaviour, timeline& time, dice luck,
                                       watcher written)
  : disk_(disk), journal_(std::make_shared<journal_model>(disk, behaviour, time, luck, std::move(written))) {
  ++disk_.epoch;
}

simulated_database::~simulated_database() { die(); }

storage::journal& simulated_database::journal() { return *journal_; }

void simulated_database::die() { journal_->die(); }

std::optional<std::string> simulated_database::get(table in, std::string_view key) const {
  const auto& rows = disk_.rows(in);
  auto found = rows.find(key);
  return found == rows.end() ? std::nullopt : std::optional(found->second);
}

void simulated_database::scan(table in, std::string_view prefix, std::string_view after, bool backwards,
                              const std::function<bool(std::string_view, std::string_view)>& visit) const {
  std::vector<std::pair<std::string, std::string>> seen; // the rows as they were when it began
  const auto& rows = disk_.rows(in);
  for (auto at = rows.lower_bound(prefix); at != rows.end() && at->first.starts_with(prefix); ++at)
    if (after.empty() || (backwards ? at->first < after : at->first > after))
      seen.push_back(*at);
  if (backwards)
    std::reverse(seen.begin(), seen.end());
  for (const auto& [key, value] : seen)
    if (!visit(key, value))
      return;
}

std::vector<std::pair<std::uint64_t, std::string>>
simulated_database::feed(const account_id& account, std::uint64_t after, std::size_t count) const {
  std::vector<std::pair<std::uint64_t, std::string>> out;
  const auto& all = disk_.feed(account.value);
  for (auto id = std::max(after + 1, all.first()); id <= all.last && out.size() < count; ++id)
    out.emplace_back(id, all.entries[static_cast<std::size_t>(id - all.first())]);
  return out;
}

std::uint64_t simulated_database::next_number(const std::string& sequence) {
  auto& reserved = disk_.numbers[sequence];
  auto& given = given_.try_emplace(sequence, reserved).first->second;
  if (given == reserved) {
    if (!journal_->works())
      return 0;
    reserved += numbers_at_once;
  }
  return ++given;
}

} // namespace troupe::simulation
