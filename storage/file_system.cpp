#include "storage/file_system.hpp"

#include <filesystem>
#include <utility>

namespace troupe::storage {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

/// A file of the write-ahead log. Once a write or a sync failed it takes nothing more, so that no later record can
/// stand behind a hole. RocksDB writes and syncs a log from one thread at a time.
class watched_log final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  watched_log(watched_disk& disk, std::string name, std::unique_ptr<rocksdb::FSWritableFile> opened)
    : FSWritableFileOwnerWrapper(std::move(opened)), disk_(disk), name_(std::move(name)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return guarded([&] { return FSWritableFileOwnerWrapper::Append(data, options, debug); }, data.size());
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    return guarded([&] { return FSWritableFileOwnerWrapper::Append(data, options, verification, debug); }, data.size());
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return guarded([&] { return FSWritableFileOwnerWrapper::Flush(options, debug); }, 0);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return synced([&] { return FSWritableFileOwnerWrapper::Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return synced([&] { return FSWritableFileOwnerWrapper::Fsync(options, debug); });
  }

private:
  template <class Write>
  IOStatus guarded(Write write, std::uint64_t bytes) {
    if (failed_)
      return IOStatus::IOError("an earlier write to this log failed");
    auto status = write();
    if (status.ok()) {
      written_ += bytes;
    } else {
      failed_ = true;
      disk_.remember(name_, synced_);
    }
    return status;
  }

  template <class Sync>
  IOStatus synced(Sync sync) {
    auto status = guarded(sync, 0);
    if (status.ok())
      synced_ = written_.load();
    return status;
  }

  watched_disk& disk_;
  const std::string name_;
  std::atomic<std::uint64_t> written_ = 0, synced_ = 0;
  std::atomic<bool> failed_ = false;
};

IOStatus watched_disk::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* opened, IODebugContext* debug) {
  auto status = target()->NewWritableFile(name, options, opened, debug);
  if (status.ok() && name.ends_with(".log"))
    *opened = std::make_unique<watched_log>(*this, name, std::move(*opened));
  return status;
}

void watched_disk::remember(const std::string& name, std::uint64_t synced) {
  std::lock_guard guard{mutex_};
  failed_[name] = synced;
}

result<void> watched_disk::cut_failed_logs() {
  std::lock_guard guard{mutex_};
  while (!failed_.empty()) {
    const auto& [name, synced] = *failed_.begin();
    std::error_code error;
    if (std::filesystem::exists(name, error))
      std::filesystem::resize_file(name, synced, error);
    if (error)
      return fail("io", "cannot cut what failed off " + name + ": " + error.message());
    failed_.erase(failed_.begin());
  }
  return {};
}

} // namespace troupe::storage
