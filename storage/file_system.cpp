#include "storage/file_system.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace troupe::storage {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

// RocksDB reads a log in blocks of 32 KiB, of which these are so many whole ones: what is prepared reads as the end.
constexpr std::uint64_t prepared_bytes = 1 << 20;

Slice zeros() {
  static const std::string bytes(64 << 10, '\0');
  return bytes;
}

} // namespace

/// A file of the write-ahead log. Once a write or a sync failed it takes nothing more, so that no later record can
/// stand behind a hole. RocksDB writes and syncs a log from one thread at a time.
///
/// It is as long as what is to come needs, filled with zeros: a sync then writes the records and nothing about the
/// file, neither its size nor where its blocks are.
class watched_log final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  watched_log(watched_disk& disk, std::string name, std::unique_ptr<rocksdb::FSWritableFile> opened,
              std::unique_ptr<rocksdb::FSRandomRWFile> ahead)
    : FSWritableFileOwnerWrapper(std::move(opened)), disk_(disk), name_(std::move(name)), ahead_(std::move(ahead)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    prepare(written_ + data.size());
    return guarded([&] { return FSWritableFileOwnerWrapper::Append(data, options, debug); }, data.size());
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    prepare(written_ + data.size());
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
  /// RocksDB would allocate blocks that are not written, each of which the file system must note as written later.
  void SetPreallocationBlockSize(size_t) override {}
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    ahead_.reset();
    if (prepared_ > written_ && !failed_)
      target()->Truncate(written_, options, debug).PermitUncheckedError(); // zeros do no harm
    return FSWritableFileOwnerWrapper::Close(options, debug);
  }

private:
  // Without it the log is as good; so what fails here is only not tried again.
  void prepare(std::uint64_t upto) {
    if (!ahead_ || upto <= prepared_)
      return;
    auto end = (upto / prepared_bytes + 1) * prepared_bytes;
    for (auto at = upto; at < end && ahead_; at += zeros().size())
      if (!ahead_->Write(at, {zeros().data(), std::min<std::uint64_t>(zeros().size(), end - at)}, {}, nullptr).ok())
        ahead_.reset();
    prepared_ = end;
  }

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
  std::unique_ptr<rocksdb::FSRandomRWFile> ahead_; // none: it grows as it is written
  std::uint64_t prepared_ = 0;                     // the file's size, when there is one
  std::atomic<std::uint64_t> written_ = 0, synced_ = 0;
  std::atomic<bool> failed_ = false;
};

IOStatus watched_disk::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* opened, IODebugContext* debug) {
  auto status = target()->NewWritableFile(name, options, opened, debug);
  if (!status.ok() || !name.ends_with(".log"))
    return status;
  std::unique_ptr<rocksdb::FSRandomRWFile> ahead;
  if (!target()->NewRandomRWFile(name, options, &ahead, debug).ok())
    ahead.reset();
  *opened = std::make_unique<watched_log>(*this, name, std::move(*opened), std::move(ahead));
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
