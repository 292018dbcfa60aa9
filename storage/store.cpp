#include "storage/store.hpp"

#include "common/check.hpp"
#include "storage/file_system.hpp"
#include "storage/keys.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/iterator.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

namespace troupe::storage {

namespace {

constexpr char number_version = 1;

// Those of ours in their order, then what a newer version may have added: RocksDB opens all of them or none.
std::vector<rocksdb::ColumnFamilyDescriptor> descriptors(const rocksdb::DBOptions& options,
                                                         const store_options& wanted) {
  auto cache = rocksdb::NewLRUCache(wanted.cache_mib << 20);
  std::vector<rocksdb::ColumnFamilyDescriptor> out;
  for (std::size_t i = 0; i < column_names.size(); ++i)
    out.emplace_back(column_names.at(i), tuned(static_cast<column>(i), cache));
  std::vector<std::string> present;
  if (!rocksdb::DB::ListColumnFamilies(options, wanted.directory.string(), &present).ok())
    return out; // a new database
  for (const auto& name : present)
    if (std::find(column_names.begin(), column_names.end(), name) == column_names.end())
      out.emplace_back(name, rocksdb::ColumnFamilyOptions{});
  return out;
}

} // namespace

std::string number_record(std::uint64_t number) {
  std::string out(1, number_version);
  append_number(out, number);
  return out;
}

failure failure_of(const rocksdb::Status& status, const std::string& what) {
  const char* code = status.IsNoSpace() ? "full" : status.IsCorruption() ? "corrupt" : "io";
  return fail(code, what + ": " + status.ToString());
}

result<std::unique_ptr<store>> store::open(const store_options& options) {
  std::unique_ptr<store> out{new store};
  if (auto opened = out->open_columns(options); !opened)
    return opened.error();
  if (auto started = out->start(options); !started)
    return started.error();
  return out;
}

result<void> store::open_columns(const store_options& options) {
  env_ = rocksdb::NewCompositeEnv(recoverable(options.disk));
  auto settings = tuned(env_.get());
  rocksdb::DB* opened = nullptr;
  auto status =
      rocksdb::DB::Open(settings, options.directory.string(), descriptors(settings, options), &handles_, &opened);
  if (!status.ok())
    return failure_of(status, "cannot open the database in " + options.directory.string());
  db_.reset(opened);
  return {};
}

result<void> store::start(const store_options& options) {
  if (auto migrated = migrate(*this, options.migrations, options.schema); !migrated)
    return migrated;
  auto last = number("epoch");
  if (!last)
    return last.error();
  epoch_ = *last + 1;
  rocksdb::WriteOptions synced;
  synced.sync = true;
  if (auto status = db_->Put(synced, handle(column::meta), "epoch", number_record(epoch_)); !status.ok())
    return failure_of(status, "cannot write to the database in " + options.directory.string());
  return {};
}

store::~store() {
  if (!db_)
    return;
  for (auto* handle : handles_)
    db_->DestroyColumnFamilyHandle(handle);
  db_->Close();
}

result<std::optional<std::string>> store::get(column which, std::string_view key) const {
  std::string value;
  auto status = db_->Get({}, handle(which), key, &value);
  if (status.IsNotFound())
    return std::optional<std::string>{};
  if (!status.ok())
    return failure_of(status, "cannot read a record");
  return std::optional<std::string>{std::move(value)};
}

result<std::uint64_t> store::last_number(column which, std::string_view name) const {
  TROUPE_CHECK(which == column::events || which == column::feed);
  std::string last{name};
  last += '\0';
  append_number(last, UINT64_MAX);
  rocksdb::ReadOptions options;
  options.prefix_same_as_start = true;
  std::unique_ptr<rocksdb::Iterator> found{db_->NewIterator(options, handle(which))};
  found->SeekForPrev(last);
  if (!found->status().ok())
    return failure_of(found->status(), "cannot read the last number of a sequence");
  rocksdb::Slice prefix{last.data(), last.size() - 8};
  if (!found->Valid() || found->key().size() != last.size() || !found->key().starts_with(prefix))
    return 0;
  return read_number(found->key().ToStringView().substr(prefix.size()));
}

result<std::uint64_t> store::number(std::string_view key) const {
  auto found = get(column::meta, key);
  if (!found)
    return found.error();
  if (!*found)
    return 0;
  if ((*found)->size() != 9)
    return fail("corrupt", "the record " + std::string{key} + " of the database is damaged; restore a backup");
  if ((*found)->front() != number_version)
    return fail("newer", "the record " + std::string{key} + " was written by a newer version");
  return read_number(std::string_view{**found}.substr(1));
}

} // namespace troupe::storage
