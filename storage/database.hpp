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
  std::filesystem::path directory;        // the data directory; RocksDB lives in directory/db
  std::size_t journal_queue_max = 65'536; // batches
  std::size_t journal_queue_mib = 64;     // keys and values in those batches
  std::size_t reserve_mib = 64;           // with less free space, commits are refused with `full`
  std::size_t cache_mib = 64;
  bool sync = true; // false only for measuring what the sync costs
};

class database {
public:
  /// Creates the directory if need be, takes its lock and opens it. Errors: `locked` (names the process that has it),
  /// `newer` (its schema is newer than this binary's), `no_migration` (this binary cannot bring it up to its schema),
  /// `full`, `corrupt`, `io`. The messages are for the operator: they name the directory.
  static result<std::unique_ptr<database>> open(const database_options& options);
  /// Writes what the journal still holds, then closes. Nobody may be reading.
  virtual ~database() = default;

  virtual storage::journal& journal() = 0;

  // -- views: consistent reads of durable rows; may be called from any thread
  // ------------------------------------------ What the disk refuses to give is logged as an error and taken for
  // absent; the journal does not take it so, and answers `failed`. When the disk failed, reads wait for the moment in
  // which the database is opened again.
  virtual std::optional<std::string> get(table in, std::string_view key) const = 0;
  /// Rows whose key begins with `prefix`, in key order (or from the end, when `backwards`), starting after `after` when
  /// it is not empty; `after` is a whole key, whether or not it is there. Sees the rows as they were when it began.
  /// Stops when `visit` returns false. `visit` may read, but must not wait for a commit.
  virtual void scan(table in, std::string_view prefix, std::string_view after, bool backwards,
                    const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
  /// Entries of an account's log after id `after`, in order, at most `count`.
  virtual std::vector<std::pair<std::uint64_t, std::string>> feed(const account_id& account, std::uint64_t after,
                                                                  std::size_t count) const = 0;
  /// The id of the last entry; 0 when there is none.
  virtual std::uint64_t feed_last(const account_id& account) const = 0;
  /// A number that changes whenever a row of the table does, before the writer is told. What is read after asking for
  /// it may be kept for as long as the answer is the same.
  virtual std::uint64_t version(table of) const = 0;

  /// The next number of a named sequence, from 1, never given twice, also after a crash (numbers may be skipped).
  /// Blocks rarely (once in a thousand calls, to reserve more). 0: the disk failed or is full, and there is no number.
  virtual std::uint64_t next_number(const std::string& sequence) = 0;
  /// How often this database was opened to write, counting this time; for fencing.
  virtual std::uint64_t epoch() const = 0;
};

/// Key parts joined so that they sort and cannot run into each other: a part is followed by 0x00 unless it is the last,
/// numbers are eight bytes, big-endian. Only the last part may hold 0x00. key_of(x, "") is the prefix of all keys whose
/// first part is x; three parts are key_of(key_of(a, b), c).
std::string key_of(std::string_view first, std::string_view second);
std::string key_of(std::string_view first, std::uint64_t number);
/// The number at the end of a key that key_of() made; 0 when the key is too short to hold one.
std::uint64_t number_at_end(std::string_view key);

} // namespace troupe::storage
