#pragma once

#include "storage/group.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace troupe::storage {

struct journal_limits {
  std::size_t queue_max = 65'536;         // batches
  std::size_t queue_bytes_max = 64 << 20; // keys and values of the batches that wait
  std::size_t group_max = 8'192;          // batches in one sync
  std::size_t group_bytes_max = 8 << 20;  // keys and values in one sync; a larger batch goes alone
  std::size_t remembered_sequences_max = 32'768;
  std::size_t reserve_bytes = 64 << 20;    // below this much free space all is refused: RocksDB needs room to tidy up
  std::int64_t recovery_interval_ms = 250; // how often a disk that failed is tried
  bool sync = true;
};

/// The journal on RocksDB: a queue, and the thread that empties it. Destroying it writes what is queued first.
class journal_thread final : public journal {
public:
  journal_thread(store& disk, const journal_limits& limits);
  ~journal_thread() override;

  void commit(batch what, done then) override;
  result<replayed> replay(const std::string& actor) const override;
  result<std::vector<std::pair<std::uint64_t, std::string>>>
  events(const std::string& actor, std::uint64_t from, std::size_t count, bool newest_first) const override;
  void on_feed(std::function<void(const account_id&, std::uint64_t last_id)> follow) override;
  journal_counters counters() const override;
  /// The last id of the account's log, if it grew lately. As new as what any `then` has heard.
  std::optional<std::uint64_t> feed_last(const account_id& account) const;
  /// See database::version().
  std::uint64_t version(table of) const { return versions_.at(static_cast<std::size_t>(of)); }

private:
  struct entry {
    batch what;
    done then;
    std::size_t bytes = 0;
    commit_status status = commit_status::ok;
  };

  void run();
  std::vector<entry> next_group(); // waits; empty: time to try the disk again, or to end
  void write(std::vector<entry>& entries);
  commit_status write(rocksdb::WriteBatch& changes);
  void publish(const group& written);
  void tell(std::vector<entry>& entries, const group& written);
  bool can_write();
  bool recover();
  void set_state(commit_status state, const std::string& why);
  void count(const std::vector<entry>& entries, std::uint64_t events);

  store& disk_;
  const journal_limits limits_;

  mutable std::mutex mutex_; // for the queue and what is beside it
  std::condition_variable wake_;
  std::deque<entry> queue_;
  std::size_t queue_bytes_ = 0;
  bool stopping_ = false;
  journal_counters counters_;
  std::function<void(const account_id&, std::uint64_t)> follow_;

  mutable std::mutex fed_mutex_;
  mutable last_numbers fed_; // of the accounts' logs
  std::array<std::atomic<std::uint64_t>, tables_max> versions_{};

  // The thread's own.
  last_numbers known_;
  commit_status state_ = commit_status::ok; // of the disk; or full, failed: until recover() succeeds
  bool broken_ = false;                     // a write failed, so the database must be opened again
  std::int64_t tried_at_ = 0;
  std::thread thread_;
};

} // namespace troupe::storage
