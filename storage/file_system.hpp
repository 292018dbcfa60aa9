#pragma once

#include <rocksdb/file_system.h>

#include <memory>

namespace troupe::storage {

/// How RocksDB sees the disk. It differs from the plain file system in what a failed write means:
///   - RocksDB is told that it may try again, so that an error does not stop all writing until the process restarts;
///   - the file that failed accepts nothing more, so that no later record can stand behind a hole in the write-ahead
///   log.
std::shared_ptr<rocksdb::FileSystem> recoverable(const std::shared_ptr<rocksdb::FileSystem>& disk);

} // namespace troupe::storage
