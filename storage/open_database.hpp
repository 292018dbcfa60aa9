#pragma once

#include "storage/database.hpp"
#include "storage/journal_thread.hpp"

namespace troupe::storage {

/// database::open(), with the parts that tests replace: the disk, the schema and the migrations, the journal's limits.
struct open_options {
  database_options database;
  std::shared_ptr<rocksdb::FileSystem> disk = rocksdb::FileSystem::Default();
  std::uint32_t schema = schema_version;
  std::vector<migration> steps = migrations();
  journal_limits journal;
};
result<std::unique_ptr<database>> open_database(const open_options& options);

} // namespace troupe::storage
