#pragma once

#include <rocksdb/options.h>

#include <array>
#include <cstddef>
#include <memory>

namespace troupe::storage {

/// The column families, in the order in which `store` keeps their handles.
enum class column : std::size_t { meta, events, snapshots, tables, feed };
inline constexpr std::array<const char*, 5> column_names = {"default", "events", "snapshots", "tables", "feed"};

/// RocksDB's settings for the process. Memory is bounded by the cache (blocks, indexes and filters together), 32 MiB of
/// write buffers, and the table readers of 512 open files.
rocksdb::DBOptions tuned(rocksdb::Env* env);

/// Settings of one column family; `cache` is shared by all.
rocksdb::ColumnFamilyOptions tuned(column which, const std::shared_ptr<rocksdb::Cache>& cache);

} // namespace troupe::storage
