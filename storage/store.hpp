#pragma once

#include "storage/file_system.hpp"
#include "storage/journal.hpp"
#include "storage/migrations.hpp"
#include "storage/tuning.hpp"

#include <rocksdb/db.h>
#include <rocksdb/iterator.h>

#include <filesystem>
#include <memory>
#include <shared_mutex>
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

/// The open RocksDB with its column families, and the reads that more than one part needs. Any thread, but for
/// reopen(), which is the journal's.
class store {
public:
  /// Opens, migrates and counts the epoch up. Errors: `newer`, `no_migration`, `corrupt`, `full`, `io`.
  static result<std::unique_ptr<store>> open(const store_options& options);
  ~store();
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  /// Held while db(), handle() or an iterator is used; reopen() waits for it. A thread may hold more than one.
  class use {
  public:
    explicit use(const store& what);
    ~use();
    use(const use&) = delete;
    use& operator=(const use&) = delete;

  private:
    const store* locked_ = nullptr; // none: the thread held one already
    const store* before_ = nullptr;
  };

  /// False when reopen() failed; then there is no db(), and all reads answer `io`.
  bool is_open() const { return db_ != nullptr; }
  rocksdb::DB& db() const { return *db_; }
  rocksdb::ColumnFamilyHandle* handle(column which) const { return handles_.at(static_cast<std::size_t>(which)); }
  std::uint64_t epoch() const { return epoch_; }

  /// Errors: `io`, `corrupt`.
  result<std::optional<std::string>> get(column which, std::string_view key) const;
  /// An iterator; the caller holds `use`. Errors: `io`.
  result<std::unique_ptr<rocksdb::Iterator>> iterate(column which, const rocksdb::ReadOptions& options) const;
  /// The last number under a name in `events` or `feed`; 0 when there is none. Errors: as get().
  result<std::uint64_t> last_number(column which, std::string_view name) const;
  /// A number of ours in `meta`; 0 when there is none. Errors: as get(), `newer`.
  result<std::uint64_t> number(std::string_view key) const;
  /// Written and synced. Errors: `full`, `io`.
  result<void> put_number(std::string_view key, std::uint64_t number) const;

  /// Free bytes on the disk; the largest number when the disk does not say.
  std::uint64_t room() const;
  /// What a restart does after the disk failed, without the restart: close, drop what was not acknowledged, open. The
  /// disk is tried first, so that reads go on while it still fails. Errors: `full`, `io`, `corrupt`.
  result<void> reopen();

private:
  explicit store(const store_options& options);
  result<void> open_columns();
  result<void> start();
  result<void> try_disk() const;
  void close();

  const store_options options_;
  const std::shared_ptr<watched_disk> disk_;
  const std::unique_ptr<rocksdb::Env> env_;
  mutable std::shared_mutex gate_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::uint64_t epoch_ = 0;
};

/// A number as a record of ours: a version byte, then eight bytes.
std::string number_record(std::uint64_t number);

/// What a status of RocksDB means: `full`, `corrupt` or `io`, with its text.
failure failure_of(const rocksdb::Status& status, const std::string& what);
/// A record, or nothing. Errors: `io`, `corrupt`.
result<std::optional<std::string>> read_record(rocksdb::DB& from, rocksdb::ColumnFamilyHandle* column,
                                               std::string_view key);

} // namespace troupe::storage
