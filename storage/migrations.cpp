#include "storage/migrations.hpp"

#include "common/log.hpp"
#include "storage/store.hpp"

#include <rocksdb/write_batch.h>

#include <algorithm>

namespace troupe::storage {

namespace {

constexpr const char* schema_key = "schema";

result<void> write(const store& what, rocksdb::WriteBatch& changes, std::uint32_t schema) {
  changes.Put(what.handle(column::meta), schema_key, number_record(schema));
  rocksdb::WriteOptions synced;
  synced.sync = true;
  if (auto status = what.db().Write(synced, &changes); !status.ok())
    return failure_of(status, "cannot write schema " + std::to_string(schema));
  return {};
}

result<void> step(const store& what, const std::vector<migration>& steps, std::uint32_t to) {
  auto found = std::find_if(steps.begin(), steps.end(), [&](const migration& m) { return m.to == to; });
  if (found == steps.end())
    return fail("no_migration", "this version cannot bring the data from schema " + std::to_string(to - 1) + " to " +
                                    std::to_string(to) + "; use a version between");
  log::info("migrating the data to schema {}: {}", to, found->what);
  rocksdb::WriteBatch changes;
  if (auto ran = found->run(what, changes); !ran)
    return ran;
  return write(what, changes, to);
}

} // namespace

std::vector<migration> migrations() { return {}; }

result<void> migrate(const store& what, const std::vector<migration>& steps, std::uint32_t wanted) {
  auto found = what.number(schema_key);
  if (!found)
    return found.error();
  if (*found > wanted)
    return fail("newer", "the data has schema " + std::to_string(*found) + ", this version knows up to " +
                             std::to_string(wanted) + "; use a newer troupe, or restore a backup of the older data");
  if (*found == 0) {
    rocksdb::WriteBatch changes;
    return write(what, changes, wanted);
  }
  for (auto to = static_cast<std::uint32_t>(*found) + 1; to <= wanted; ++to)
    if (auto done = step(what, steps, to); !done)
      return done;
  return {};
}

} // namespace troupe::storage
