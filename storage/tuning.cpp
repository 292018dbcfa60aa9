#include "storage/tuning.hpp"

#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <cstring>

namespace troupe::storage {

namespace {

constexpr std::size_t mib = 1 << 20;

// The name before the number: with a bloom filter on it, an actor that has never been is found absent without reading.
class name_of_sequence final : public rocksdb::SliceTransform {
public:
  const char* Name() const override { return "troupe.name_of_sequence"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), static_cast<std::size_t>(end_of_name(key) - key.data()) + 1};
  }
  bool InDomain(const rocksdb::Slice& key) const override { return end_of_name(key) != nullptr; }

private:
  static const char* end_of_name(const rocksdb::Slice& key) {
    return static_cast<const char*>(std::memchr(key.data(), '\0', key.size()));
  }
};

rocksdb::CompressionType first_supported(std::initializer_list<rocksdb::CompressionType> wanted) {
  auto supported = rocksdb::GetSupportedCompressions();
  auto found = std::find_if(wanted.begin(), wanted.end(), [&](auto type) {
    return std::find(supported.begin(), supported.end(), type) != supported.end();
  });
  return found == wanted.end() ? rocksdb::kNoCompression : *found;
}

// RocksDB must not resume on its own: the journal opens it again, which is the way back that a restart takes, too.
class no_auto_recovery final : public rocksdb::EventListener {
public:
  const char* Name() const override { return "troupe.no_auto_recovery"; }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

} // namespace

rocksdb::DBOptions tuned(rocksdb::Env* env) {
  rocksdb::DBOptions options;
  options.env = env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.db_write_buffer_size = 32 * mib;
  options.max_total_wal_size = 64 * mib; // what a restart reads again at most
  options.max_open_files = 512;
  options.bytes_per_sync = mib;
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.max_log_file_size = 4 * mib;
  options.keep_log_file_num = 4;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<no_auto_recovery>());
  return options;
}

rocksdb::ColumnFamilyOptions tuned(column which, const std::shared_ptr<rocksdb::Cache>& cache) {
  bool sequence = which == column::events || which == column::feed;
  rocksdb::BlockBasedTableOptions blocks;
  blocks.block_cache = cache;
  blocks.cache_index_and_filter_blocks = true;
  blocks.cache_index_and_filter_blocks_with_high_priority = true;
  blocks.pin_l0_filter_and_index_blocks_in_cache = true;
  blocks.block_size = 8 * 1024;
  blocks.format_version = 5;
  blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  blocks.whole_key_filtering = !sequence;

  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));
  options.write_buffer_size = (which == column::meta ? 1 : 16) * mib;
  options.max_write_buffer_number = 3;
  options.level_compaction_dynamic_level_bytes = true;
  options.compression = first_supported({rocksdb::kLZ4Compression, rocksdb::kSnappyCompression});
  options.bottommost_compression = first_supported({rocksdb::kZSTD, rocksdb::kLZ4Compression});
  // Not memtable_insert_with_hint_prefix_extractor, though it saves a tenth of the journal's time: RocksDB 7.8 uses one
  // hint for what is put and for the ranges that are deleted, which lie in different lists, and aborts (storage_test).
  if (sequence)
    options.prefix_extractor = std::make_shared<name_of_sequence>();
  return options;
}

} // namespace troupe::storage
