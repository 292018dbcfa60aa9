#pragma once

#include "storage/journal.hpp"
#include "storage/migrations.hpp"
#include "storage/tuning.hpp"

#include <rocksdb/db.h>
#include <rocksdb/file_system.h>

#include <array>
#include <filesystem>
#include <memory>
#include <vector>

namespace troupe::storage {

/// What RocksDB needs to be opened; the tests hand in a disk that fails, and migrations of their own.
struct store_options {
  std::filesystem::path directory; // of RocksDB alone
  std::size_t cache_mib = 64;
  std::shared_ptr<rocksdb::FileSystem> disk = rocksdb::FileSystem::Default();
  std::uint32_t schema = 1; // what this binary writes
  std::vector<migration> migrations;
};

/// The open RocksDB with its column families, and the reads that more than one part needs. Any thread.
class store {
public:
  /// Opens, migrates and counts the epoch up. Errors: `newer`, `io`.
  static result<std::unique_ptr<store>> open(const store_options& options);
  ~store();
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  rocksdb::DB& db() const { return *db_; }
  rocksdb::ColumnFamilyHandle* handle(column which) const { return handles_.at(static_cast<std::size_t>(which)); }
  std::uint64_t epoch() const { return epoch_; }

  /// Errors: `io`, `corrupt`.
  result<std::optional<std::string>> get(column which, std::string_view key) const;
  /// The last number under a name in `events` or `feed`; 0 when there is none. Errors: as get().
  result<std::uint64_t> last_number(column which, std::string_view name) const;
  /// A number of ours in `meta`; 0 when there is none. Errors: as get().
  result<std::uint64_t> number(std::string_view key) const;

private:
  store() = default;
  result<void> open_columns(const store_options& options);
  result<void> start(const store_options& options);

  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::uint64_t epoch_ = 0;
};

/// A number as a record of ours: a version byte, then eight bytes.
std::string number_record(std::uint64_t number);

/// What a status of RocksDB means: `full`, `corrupt` or `io`, with its text.
failure failure_of(const rocksdb::Status& status, const std::string& what);

} // namespace troupe::storage
