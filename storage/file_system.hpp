#pragma once

#include "common/result.hpp"

#include <rocksdb/file_system.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

namespace troupe::storage {

/// The disk under RocksDB. It remembers which files of the write-ahead log failed, and how much of them had been synced
/// before: after a failed sync the records of a batch that was answered `failed` may well be in the file, and must not
/// be found there when the database is opened again.
class watched_disk final : public rocksdb::FileSystemWrapper {
public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "troupe.watched"; }

  /// Cuts what was not acknowledged off the logs that failed. To be called while the database is closed. Errors: `io`.
  result<void> cut_failed_logs();

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* opened,
                                    rocksdb::IODebugContext* debug) override;

private:
  friend class watched_log;
  void remember(const std::string& name, std::uint64_t synced);

  std::mutex mutex_;
  std::map<std::string, std::uint64_t> failed_; // name → bytes that had been synced
};

} // namespace troupe::storage
