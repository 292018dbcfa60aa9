#include "storage/journal_thread.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"
#include "storage/replay.hpp"

#include <rocksdb/options.h>

#include <algorithm>
#include <chrono>
#include <pthread.h>

namespace troupe::storage {

namespace {

constexpr std::int64_t recovery_interval_ms = 250;

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
  return out;
}

commit_status status_of(const rocksdb::Status& status) {
  return status.ok() ? commit_status::ok : status.IsNoSpace() ? commit_status::full : commit_status::failed;
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

journal_thread::journal_thread(const store& disk, const journal_limits& limits)
  : disk_(disk), limits_(limits), known_(limits.remembered_sequences_max), thread_([this] { run(); }) {
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
  auto refusal = commit_status::ok;
  {
    std::lock_guard guard{mutex_};
    bool no_room =
        queue_.size() >= limits_.queue_max || (!queue_.empty() && queue_bytes_ + bytes > limits_.queue_bytes_max);
    if (stopping_ || no_room) {
      refusal = stopping_ ? commit_status::failed : commit_status::full;
      ++counters_.refused;
    } else {
      queue_.push_back({std::move(what), std::move(then), bytes});
      queue_bytes_ += bytes;
      if (queue_.size() > 1)
        return;
    }
  }
  if (refusal == commit_status::ok)
    wake_.notify_one();
  else
    then(refusal);
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
    if (disk_state_ != commit_status::ok)
      recover();
    std::lock_guard guard{mutex_};
    if (stopping_ && queue_.empty())
      return;
  }
}

std::vector<journal_thread::entry> journal_thread::next_group() {
  std::unique_lock lock{mutex_};
  auto wanted = [this] { return stopping_ || !queue_.empty(); };
  if (disk_state_ == commit_status::ok)
    wake_.wait(lock, wanted);
  else
    wake_.wait_for(lock, std::chrono::milliseconds(recovery_interval_ms), wanted);
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
  for (auto& e : entries)
    e.status = now.add(e.what);
  auto written = write(now.changes());
  if (written == commit_status::ok)
    now.remember();
  else // what was refused may have been refused for what is now not written
    for (auto& e : entries)
      e.status = written;
  count(entries, written == commit_status::ok ? now.events() : 0);
  tell(entries, now);
}

commit_status journal_thread::write(rocksdb::WriteBatch& changes) {
  if (changes.Count() == 0)
    return commit_status::ok;
  if (disk_state_ != commit_status::ok && !recover())
    return disk_state_;
  rocksdb::WriteOptions options;
  options.sync = limits_.sync;
  auto status = disk_.db().Write(options, &changes);
  if (status.ok())
    return commit_status::ok;
  disk_state_ = status_of(status);
  tried_at_ = steady_ms();
  log::error("journal: {}: nothing is written until the disk recovers; free space or look at the disk",
             status.ToString());
  return disk_state_;
}

void journal_thread::tell(std::vector<entry>& entries, const group& written) {
  bool ok = std::any_of(entries.begin(), entries.end(), [](const entry& e) { return e.status == commit_status::ok; });
  if (ok) {
    std::function<void(const account_id&, std::uint64_t)> follow;
    {
      std::lock_guard guard{mutex_};
      follow = follow_;
    }
    if (follow)
      for (const auto& [account, last] : written.feeds())
        follow(account, last);
  }
  for (auto& e : entries)
    e.then(e.status);
}

void journal_thread::count(const std::vector<entry>& entries, std::uint64_t events) {
  auto ok = static_cast<std::uint64_t>(
      std::count_if(entries.begin(), entries.end(), [](const entry& e) { return e.status == commit_status::ok; }));
  std::lock_guard guard{mutex_};
  counters_.batches += ok;
  counters_.refused += entries.size() - ok;
  counters_.events += events;
  counters_.syncs += ok > 0 ? 1 : 0;
  counters_.disk = disk_state_;
}

bool journal_thread::recover() {
  if (steady_ms() - tried_at_ < recovery_interval_ms)
    return false;
  tried_at_ = steady_ms();
  auto status = disk_.db().Resume();
  if (status.ok())
    status = leave_broken_log();
  if (!status.ok()) {
    disk_state_ = status_of(status);
    return false;
  }
  disk_state_ = commit_status::ok;
  known_.clear();
  log::info("journal: the disk has recovered; writing goes on");
  std::lock_guard guard{mutex_};
  counters_.disk = commit_status::ok;
  return true;
}

// The file of the write-ahead log that failed takes nothing more, and RocksDB begins a new one only when it has
// something in memory to write out.
rocksdb::Status journal_thread::leave_broken_log() {
  rocksdb::WriteOptions past_the_log;
  past_the_log.disableWAL = true;
  auto* meta = disk_.handle(column::meta);
  auto status = disk_.db().Put(past_the_log, meta, "recovered", number_record(static_cast<std::uint64_t>(now_ms())));
  return status.ok() ? disk_.db().Flush({}, meta) : status;
}

} // namespace troupe::storage
