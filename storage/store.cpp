#include "storage/store.hpp"

#include "common/check.hpp"
#include "storage/keys.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

namespace troupe::storage {

namespace {

constexpr char number_version = 1;

thread_local const store* in_use = nullptr;

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

failure closed() { return fail("io", "the database is closed since the disk failed; look at the disk"); }

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

result<std::optional<std::string>> read_record(rocksdb::DB& from, rocksdb::ColumnFamilyHandle* column,
                                               std::string_view key) {
  std::string value;
  auto status = from.Get({}, column, key, &value);
  if (status.IsNotFound())
    return std::optional<std::string>{};
  if (!status.ok())
    return failure_of(status, "cannot read a record");
  return std::optional<std::string>{std::move(value)};
}

store::use::use(const store& what) {
  if (in_use == &what)
    return;
  what.gate_.lock_shared();
  locked_ = &what;
  before_ = std::exchange(in_use, &what);
}

store::use::~use() {
  if (!locked_)
    return;
  in_use = before_;
  locked_->gate_.unlock_shared();
}

store::store(const store_options& options)
  : options_(options), disk_(std::make_shared<watched_disk>(options.disk)), env_(rocksdb::NewCompositeEnv(disk_)) {}

store::~store() { close(); }

result<std::unique_ptr<store>> store::open(const store_options& options) {
  std::unique_ptr<store> out{new store{options}};
  if (auto opened = out->open_columns(); !opened)
    return opened.error();
  if (auto started = out->start(); !started)
    return started.error();
  return out;
}

result<void> store::open_columns() {
  auto settings = tuned(env_.get());
  auto directory = options_.directory.string();
  rocksdb::DB* opened = nullptr;
  auto status = rocksdb::DB::Open(settings, directory, descriptors(settings, options_), &handles_, &opened);
  if (!status.ok())
    return failure_of(status, "cannot open the database in " + directory);
  db_.reset(opened);
  return {};
}

result<void> store::start() {
  if (auto migrated = migrate(*this, options_.migrations, options_.schema); !migrated)
    return migrated;
  auto last = number("epoch");
  if (!last)
    return last.error();
  epoch_ = *last + 1;
  return put_number("epoch", epoch_);
}

void store::close() {
  if (!db_)
    return;
  for (auto* handle : handles_)
    db_->DestroyColumnFamilyHandle(handle);
  handles_.clear();
  db_->Close();
  db_.reset();
}

result<std::optional<std::string>> store::get(column which, std::string_view key) const {
  use held{*this};
  if (!db_)
    return closed();
  return read_record(*db_, handle(which), key);
}

result<std::unique_ptr<rocksdb::Iterator>> store::iterate(column which, const rocksdb::ReadOptions& options) const {
  TROUPE_CHECK(in_use == this);
  if (!db_)
    return closed();
  return std::unique_ptr<rocksdb::Iterator>{db_->NewIterator(options, handle(which))};
}

result<std::uint64_t> store::last_number(column which, std::string_view name) const {
  TROUPE_CHECK(which == column::events || which == column::feed);
  std::string last{name};
  last += '\0';
  append_number(last, UINT64_MAX);
  rocksdb::ReadOptions options;
  options.prefix_same_as_start = true;
  use held{*this};
  auto opened = iterate(which, options);
  if (!opened)
    return opened.error();
  auto& found = **opened;
  found.SeekForPrev(last);
  if (!found.status().ok())
    return failure_of(found.status(), "cannot read the last number of a sequence");
  rocksdb::Slice prefix{last.data(), last.size() - 8};
  if (!found.Valid() || found.key().size() != last.size() || !found.key().starts_with(prefix))
    return 0;
  return read_number(found.key().ToStringView().substr(prefix.size()));
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

result<void> store::put_number(std::string_view key, std::uint64_t number) const {
  use held{*this};
  if (!db_)
    return closed();
  rocksdb::WriteOptions synced;
  synced.sync = true;
  if (auto status = db_->Put(synced, handle(column::meta), key, number_record(number)); !status.ok())
    return failure_of(status, "cannot write the number " + std::string{key});
  return {};
}

std::uint64_t store::room() const {
  std::uint64_t out = 0;
  bool known = disk_->GetFreeSpace(options_.directory.string(), {}, &out, nullptr).ok();
  return known ? out : UINT64_MAX;
}

result<void> store::try_disk() const {
  auto path = (options_.directory / "trial").string();
  std::unique_ptr<rocksdb::FSWritableFile> file;
  auto status = disk_->NewWritableFile(path, {}, &file, nullptr);
  if (status.ok())
    status = file->Append(std::string(1 << 16, '\0'), {}, nullptr);
  if (status.ok())
    status = file->Fsync({}, nullptr);
  if (file)
    file->Close({}, nullptr).PermitUncheckedError();
  disk_->DeleteFile(path, {}, nullptr).PermitUncheckedError();
  if (!status.ok())
    return failure_of(status, "the disk still fails");
  return {};
}

result<void> store::reopen() {
  TROUPE_CHECK(in_use != this);
  if (auto works = try_disk(); !works)
    return works;
  std::lock_guard alone{gate_};
  close();
  if (auto cut = disk_->cut_failed_logs(); !cut)
    return cut;
  return open_columns();
}

} // namespace troupe::storage
