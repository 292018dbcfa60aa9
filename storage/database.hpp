#pragma once

// One RocksDB in one data directory, opened by one process. What reads go through; writes go through the journal.

#include "storage/journal.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace troupe::storage {

inline constexpr std::uint32_t schema_version = 1;

struct database_options {
  std::filesystem::path directory; // the data directory; RocksDB lives in directory/db
  std::size_t journal_queue_max = 65'536; // batches
  std::size_t cache_mib = 64;
  bool sync = true; // false only for measuring what the sync costs
};

class database {
public:
  /// Creates the directory if need be, takes its lock and opens it. Errors: `locked` (names the process that has it),
  /// `newer` (its schema is newer than this binary's), `io`.
  static result<std::unique_ptr<database>> open(const database_options& options);
  virtual ~database() = default;

  virtual storage::journal& journal() = 0;

  // -- views: consistent reads of durable rows; may be called from any thread ------------------------------------------
  virtual std::optional<std::string> get(table in, std::string_view key) const = 0;
  /// Rows whose key begins with `prefix`, in key order (or from the end, when `backwards`), starting after `after` when
  /// it is not empty. Stops when `visit` returns false.
  virtual void scan(table in, std::string_view prefix, std::string_view after, bool backwards,
                    const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
  /// Entries of an account's log after id `after`, in order, at most `count`.
  virtual std::vector<std::pair<std::uint64_t, std::string>> feed(const account_id& account, std::uint64_t after,
                                                                  std::size_t count) const = 0;
  /// The id of the last entry; 0 when there is none.
  virtual std::uint64_t feed_last(const account_id& account) const = 0;

  /// The next number of a named sequence, from 1, never given twice, also after a crash (numbers may be skipped).
  /// Blocks rarely (once in a thousand calls, to reserve more).
  virtual std::uint64_t next_number(const std::string& sequence) = 0;
  /// How often this database was opened to write, counting this time; for fencing.
  virtual std::uint64_t epoch() const = 0;
};

/// Key parts joined so that they sort and cannot run into each other: strings end in 0x00 (and hold none), numbers are
/// big-endian.
std::string key_of(std::string_view first, std::string_view second);
std::string key_of(std::string_view first, std::uint64_t number);
std::uint64_t number_at_end(std::string_view key);

} // namespace troupe::storage
