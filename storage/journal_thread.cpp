#include "storage/journal_thread.hpp"

#include "common/clock.hpp"
#include "common/halt_poll.hpp"
#include "common/log.hpp"
#include "storage/replay.hpp"

#include <rocksdb/options.h>

#include <algorithm>
#include <chrono>
#include <pthread.h>

namespace troupe::storage {

namespace {

std::size_t bytes_of(const batch& what) {
  std::size_t out = 64; // so that batches of nothing fill a queue, too
  for (const auto& a : what.appends)
    for (const auto& e : a.events)
      out += a.actor.size() + e.size() + 32;
  for (const auto& f : what.feeds)
    for (const auto& e : f.entries)
      out += f.account.value.size() + e.size() + 32;
  for (const auto& r : what.rows)
    out += r.key.size() + (r.value ? r.value->size() : 0) + 32;
  for (const auto& s : what.snapshots)
    out += s.actor.size() + s.state.size() + 32;
  for (const auto& e : what.erasures)
    out += e.name.size() + 32;
  return out;
}

} // namespace

const char* to_string(commit_status status) {
  switch (status) {
    case commit_status::ok: return "ok";
    case commit_status::exists: return "exists";
    case commit_status::conflict: return "conflict";
    case commit_status::full: return "full";
    case commit_status::failed: return "failed";
  }
  return "unknown";
}

journal_thread::journal_thread(store& disk, const journal_limits& limits)
  : disk_(disk), limits_(limits), fed_(limits.remembered_sequences_max), known_(limits.remembered_sequences_max),
    thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "journal");
}

journal_thread::~journal_thread() {
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void journal_thread::commit(batch what, done then) {
  auto bytes = bytes_of(what);
  std::unique_lock lock{mutex_};
  bool no_room =
      queue_.size() >= limits_.queue_max || (!queue_.empty() && queue_bytes_ + bytes > limits_.queue_bytes_max);
  if (stopping_ || no_room) {
    auto refusal = stopping_ ? commit_status::failed : commit_status::full;
    ++counters_.refused;
    lock.unlock();
    then(refusal);
    return;
  }
  queue_.push_back({std::move(what), std::move(then), bytes});
  queue_bytes_ += bytes;
  bool is_first = queue_.size() == 1;
  lock.unlock();
  if (is_first)
    wake_.notify_one();
}

result<replayed> journal_thread::replay(const std::string& actor) const { return storage::replay(disk_, actor); }

result<std::vector<std::pair<std::uint64_t, std::string>>>
journal_thread::events(const std::string& actor, std::uint64_t from, std::size_t count, bool newest_first) const {
  return storage::events(disk_, actor, from, count, newest_first);
}

void journal_thread::on_feed(std::function<void(const account_id&, std::uint64_t last_id)> follow) {
  std::lock_guard guard{mutex_};
  follow_ = std::move(follow);
}

journal_counters journal_thread::counters() const {
  std::lock_guard guard{mutex_};
  return counters_;
}

void journal_thread::run() {
  for (;;) {
    auto entries = next_group();
    if (!entries.empty()) {
      write(entries);
      continue;
    }
    if (state_ != commit_status::ok)
      recover();
    std::lock_guard guard{mutex_};
    if (stopping_ && queue_.empty())
      return;
  }
}

std::vector<journal_thread::entry> journal_thread::next_group() {
  std::unique_lock lock{mutex_};
  auto wanted = [this] { return stopping_ || !queue_.empty(); };
  if (!wanted())
    halt_poll::rest();
  if (state_ == commit_status::ok)
    wake_.wait(lock, wanted);
  else
    wake_.wait_for(lock, std::chrono::milliseconds(limits_.recovery_interval_ms), wanted);
  std::vector<entry> out;
  std::size_t bytes = 0;
  while (!queue_.empty() && out.size() < limits_.group_max) {
    if (!out.empty() && bytes + queue_.front().bytes > limits_.group_bytes_max)
      break;
    bytes += queue_.front().bytes;
    out.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= bytes;
  return out;
}

void journal_thread::write(std::vector<entry>& entries) {
  group now{disk_, known_};
  auto outcome = can_write() ? commit_status::ok : state_;
  if (outcome == commit_status::ok) {
    for (auto& e : entries)
      e.status = now.add(e.what);
    outcome = write(now.changes());
  }
  if (outcome == commit_status::ok) {
    now.remember();
    publish(now);
  } else // also what was refused: perhaps for what is now not written
    for (auto& e : entries)
      e.status = outcome;
  count(entries, outcome == commit_status::ok ? now.events() : 0);
  tell(entries, now);
}

commit_status journal_thread::write(rocksdb::WriteBatch& changes) {
  if (changes.Count() == 0)
    return commit_status::ok;
  rocksdb::WriteOptions options;
  options.sync = limits_.sync;
  options.memtable_insert_hint_per_batch = true; // events of one actor stand beside each other
  auto status = disk_.db().Write(options, &changes);
  if (status.ok())
    return commit_status::ok;
  broken_ = true;
  tried_at_ = steady_ms();
  set_state(status.IsNoSpace() ? commit_status::full : commit_status::failed, status.ToString());
  return state_;
}

// Before anybody is told: who is told may ask.
void journal_thread::publish(const group& written) {
  for (std::size_t i = 0; i < versions_.size(); ++i)
    if (written.tables().test(i))
      ++versions_[i];
  std::lock_guard guard{fed_mutex_};
  for (const auto& [account, last] : written.feeds())
    fed_.put(account.value, last);
}

// Who waits for the disk first: work goes on with them.
void journal_thread::tell(std::vector<entry>& entries, const group& written) {
  bool ok = std::any_of(entries.begin(), entries.end(), [](const entry& e) { return e.status == commit_status::ok; });
  for (auto& e : entries)
    e.then(e.status);
  if (!ok)
    return;
  std::function<void(const account_id&, std::uint64_t)> follow;
  {
    std::lock_guard guard{mutex_};
    follow = follow_;
  }
  if (follow)
    for (const auto& [account, last] : written.feeds())
      follow(account, last);
}

std::optional<std::uint64_t> journal_thread::feed_last(const account_id& account) const {
  std::lock_guard guard{fed_mutex_};
  return fed_.find(account.value);
}

void journal_thread::count(const std::vector<entry>& entries, std::uint64_t events) {
  auto ok = static_cast<std::uint64_t>(
      std::count_if(entries.begin(), entries.end(), [](const entry& e) { return e.status == commit_status::ok; }));
  std::lock_guard guard{mutex_};
  counters_.batches += ok;
  counters_.refused += entries.size() - ok;
  counters_.events += events;
  counters_.syncs += ok > 0 ? 1 : 0;
}

bool journal_thread::can_write() {
  if (state_ != commit_status::ok)
    return recover();
  if (disk_.room() >= limits_.reserve_bytes)
    return true;
  set_state(commit_status::full, "less than " + std::to_string(limits_.reserve_bytes >> 20) + " MiB are free");
  return false;
}

bool journal_thread::recover() {
  if (steady_ms() - tried_at_ < limits_.recovery_interval_ms)
    return false;
  tried_at_ = steady_ms();
  if (disk_.room() < limits_.reserve_bytes + limits_.reserve_bytes / 2) { // a little more, so that it does not flutter
    set_state(commit_status::full, "the disk is full");
    return false;
  }
  if (broken_) {
    if (auto opened = disk_.reopen(); !opened) {
      set_state(opened.error().code == "full" ? commit_status::full : commit_status::failed, opened.error().message);
      return false;
    }
    broken_ = false;
    known_.clear();
    for (auto& version : versions_) // what was refused may be there after all
      ++version;
    std::lock_guard guard{fed_mutex_};
    fed_.clear();
  }
  set_state(commit_status::ok, "the disk has recovered");
  return true;
}

void journal_thread::set_state(commit_status state, const std::string& why) {
  if (state == state_)
    return;
  state_ = state;
  if (state == commit_status::ok)
    log::info("journal: {}; writing goes on", why);
  else
    log::error("journal: {}: {}; nothing is written until the disk recovers", to_string(state), why);
  std::lock_guard guard{mutex_};
  counters_.disk = state;
}

} // namespace troupe::storage
