#pragma once

// The head's disk: what is on it survives the head. A model of storage/ with the rules of storage/journal.hpp: dense
// sequences, rows that must be absent, one sync for a group, `full` and `failed` for all of a group, and at a crash
// each group whole or not at all. `disk_model_test` holds it against the real one.

#include "storage/database.hpp"
#include "tests/simulation/dice.hpp"
#include "tests/simulation/timeline.hpp"

#include <deque>
#include <map>
#include <memory>

namespace troupe::simulation {

/// What was synced.
class durable {
public:
  /// Applies it, or says why not; what is refused leaves nothing.
  storage::commit_status apply(const storage::batch& what);

  result<storage::replayed> replay(const std::string& actor) const;
  std::vector<std::pair<std::uint64_t, std::string>> events(const std::string& actor, std::uint64_t from,
                                                            std::size_t count, bool newest_first) const;
  using table_rows = std::map<std::string, std::string, std::less<>>;
  const table_rows& rows(storage::table in) const;

  /// Entries by number; those before the first are erased.
  struct sequence {
    std::uint64_t last = 0;
    std::deque<std::string> entries;
    std::uint64_t first() const { return last - entries.size() + 1; }
  };
  const sequence& feed(const std::string& account) const;

  std::uint64_t epoch = 0;
  std::map<std::string, std::uint64_t> numbers; // reserved up to here

private:
  storage::commit_status judge(const storage::batch& what) const;
  void erase(const storage::erasure& what);

  std::map<std::string, sequence> events_, feeds_;
  std::map<std::string, storage::snapshot> snapshots_;
  std::map<storage::table, table_rows> rows_;
};

/// How the disk behaves, until it is changed.
struct disk_behaviour {
  micros sync_least = 200, sync_most = 8 * millisecond;
  storage::commit_status answer = storage::commit_status::ok; // of writes: ok, full, failed
};

/// The database as one life of the head sees it. Its destruction is a crash: what is not synced is lost, but a group
/// that is under way may have made it.
class simulated_database final : public storage::database {
public:
  /// `written` is told of each batch as it becomes durable.
  using watcher = std::function<void(const storage::batch&)>;
  simulated_database(durable& disk, const disk_behaviour& behaviour, timeline& time, dice luck, watcher written);
  ~simulated_database() override;

  storage::journal& journal() override;
  std::optional<std::string> get(storage::table in, std::string_view key) const override;
  void scan(storage::table in, std::string_view prefix, std::string_view after, bool backwards,
            const std::function<bool(std::string_view key, std::string_view value)>& visit) const override;
  std::vector<std::pair<std::uint64_t, std::string>> feed(const account_id& account, std::uint64_t after,
                                                          std::size_t count) const override;
  std::uint64_t feed_last(const account_id& account) const override { return disk_.feed(account.value).last; }
  std::uint64_t version(storage::table) const override { return ++versions_; } // nothing is to be kept
  std::uint64_t next_number(const std::string& sequence) override;
  std::uint64_t epoch() const override { return disk_.epoch; }
  /// The process is dead: nothing that is committed from now on is heard of.
  void die();

private:
  class journal_model;
  durable& disk_;
  std::map<std::string, std::uint64_t> given_; // numbers of this life
  mutable std::uint64_t versions_ = 0;
  std::shared_ptr<journal_model> journal_;
};

} // namespace troupe::simulation
