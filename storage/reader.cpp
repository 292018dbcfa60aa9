#include "storage/reader.hpp"

#include "common/foreign_bytes.hpp"
#include "storage/keys.hpp"
#include "storage/replay.hpp"
#include "storage/store.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>

namespace troupe::storage {

namespace {

constexpr std::size_t cache_bytes = 32 << 20;
constexpr int tries = 3; // the process that writes may remove a file between our reading its name and opening it

class quiet_log final : public rocksdb::Logger {
public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

class database_reader final : public reader {
public:
  ~database_reader() override {
    for (auto* handle : handles_)
      db_->DestroyColumnFamilyHandle(handle);
  }

  rocksdb::Status open(const std::string& folder) {
    auto options = tuned(rocksdb::Env::Default());
    options.create_if_missing = false;
    options.max_open_files = -1; // all files are opened at once, so what is removed later can still be read
    options.info_log = std::make_shared<quiet_log>();
    auto cache = rocksdb::NewLRUCache(cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> columns;
    for (std::size_t i = 0; i < column_names.size(); ++i)
      columns.emplace_back(column_names.at(i), tuned(static_cast<column>(i), cache));
    rocksdb::DB* opened = nullptr;
    auto status = rocksdb::DB::OpenForReadOnly(options, folder, columns, &handles_, &opened);
    db_.reset(opened);
    return status;
  }

  result<void> events(std::string_view prefix, const visit_event& visit) const override {
    result<void> damaged;
    auto read = scan(column::events, std::string{prefix}, [&](std::string_view key, std::string_view value) {
      if (key.size() < 10 || key[key.size() - 9] != '\0')
        damaged = fail("corrupt", "an event has a key that is none");
      else
        visit(key.substr(0, key.size() - 9), read_number(key.substr(key.size() - 8)), value);
    });
    return read ? damaged : read;
  }

  result<std::optional<snapshot>> snapshot_of(const std::string& actor) const override {
    return read_snapshot(actor, get(column::snapshots, actor));
  }

  result<std::optional<std::string>> row(table in, std::string_view key) const override {
    return get(column::tables, table_key(in, key));
  }

  result<void> rows(table in, const std::function<void(std::string_view, std::string_view)>& visit) const override {
    return scan(column::tables, table_key(in, ""),
                [&](std::string_view key, std::string_view value) { visit(key.substr(1), value); });
  }

private:
  rocksdb::ColumnFamilyHandle* handle(column which) const { return handles_.at(static_cast<std::size_t>(which)); }

  result<std::optional<std::string>> get(column which, const std::string& key) const {
    return read_record(*db_, handle(which), key);
  }

  result<void> scan(column which, const std::string& prefix,
                    const std::function<void(std::string_view, std::string_view)>& visit) const {
    rocksdb::ReadOptions options;
    options.total_order_seek = true;
    options.fill_cache = false;
    auto end = after_prefix(prefix);
    rocksdb::Slice upper{end};
    options.iterate_upper_bound = end.empty() ? nullptr : &upper;
    std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator(options, handle(which))};
    for (at->Seek(prefix); at->Valid(); at->Next())
      visit(at->key().ToStringView(), foreign_bytes(at->value().ToStringView()).view());
    if (!at->status().ok())
      return failure_of(at->status(), "cannot read the database to its end");
    return {};
  }

  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

} // namespace

result<std::unique_ptr<reader>> reader::open(const std::filesystem::path& directory) {
  auto folder = directory / "db";
  if (!std::filesystem::exists(folder / "CURRENT"))
    return fail("not_found", "no database is in " + directory.string());
  rocksdb::Status status;
  for (int i = 0; i < tries; ++i) {
    auto out = std::make_unique<database_reader>();
    status = out->open(folder.string());
    if (status.ok())
      return std::unique_ptr<reader>{std::move(out)};
  }
  return failure_of(status, "cannot open the database in " + folder.string());
}

} // namespace troupe::storage
