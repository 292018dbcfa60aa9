#include "storage/file_system.hpp"

#include <atomic>
#include <utility>

namespace troupe::storage {

namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus may_try_again(IOStatus status) {
  if (!status.ok())
    status.SetRetryable(true);
  return status;
}

class recoverable_file final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return guarded([&] { return target()->Append(data, options, debug); });
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    return guarded([&] { return target()->Append(data, options, verification, debug); });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return guarded([&] { return target()->Flush(options, debug); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return guarded([&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return guarded([&] { return target()->Fsync(options, debug); });
  }
  IOStatus RangeSync(std::uint64_t offset, std::uint64_t bytes, const IOOptions& options,
                     IODebugContext* debug) override {
    return guarded([&] { return target()->RangeSync(offset, bytes, options, debug); });
  }

private:
  template <class Write>
  IOStatus guarded(Write write) {
    if (broken_)
      return may_try_again(IOStatus::IOError("an earlier write to this file failed"));
    auto status = may_try_again(write());
    if (!status.ok())
      broken_ = true;
    return status;
  }

  std::atomic<bool> broken_ = false;
};

class recoverable_folder final : public rocksdb::FSDirectoryWrapper {
public:
  using FSDirectoryWrapper::FSDirectoryWrapper;

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return may_try_again(FSDirectoryWrapper::Fsync(options, debug));
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& how) override {
    return may_try_again(FSDirectoryWrapper::FsyncWithDirOptions(options, debug, how));
  }
};

class recoverable_file_system final : public rocksdb::FileSystemWrapper {
public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "troupe.recoverable"; }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* opened, IODebugContext* debug) override {
    auto status = may_try_again(target()->NewWritableFile(name, options, opened, debug));
    if (status.ok())
      *opened = std::make_unique<recoverable_file>(std::move(*opened));
    return status;
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* opened, IODebugContext* debug) override {
    auto status = may_try_again(target()->NewDirectory(name, options, opened, debug));
    if (status.ok())
      *opened = std::make_unique<recoverable_folder>(std::move(*opened));
    return status;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    return may_try_again(target()->RenameFile(from, to, options, debug));
  }
};

} // namespace

std::shared_ptr<rocksdb::FileSystem> recoverable(const std::shared_ptr<rocksdb::FileSystem>& disk) {
  return std::make_shared<recoverable_file_system>(disk);
}

} // namespace troupe::storage
