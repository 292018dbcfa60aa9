#include "tests/unit/storage/faulty_disk.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

namespace troupe::storage::testing {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class faulty_file final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  faulty_file(faulty_disk& disk, std::string name, std::shared_ptr<faulty_disk::extent> size,
              std::unique_ptr<rocksdb::FSWritableFile> opened)
    : FSWritableFileOwnerWrapper(std::move(opened)), disk_(disk), name_(std::move(name)), size_(std::move(size)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    if (disk_.strikes(name_, false)) {
      if (disk_.moment_ == faulty_disk::when::torn_append)
        target()->Append({data.data(), data.size() / 2}, options, debug).PermitUncheckedError();
      return disk_.error();
    }
    auto status = target()->Append(data, options, debug);
    if (status.ok())
      size_->written += data.size();
    return status;
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return synced([&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return synced([&] { return target()->Fsync(options, debug); });
  }

private:
  template <class Sync>
  IOStatus synced(Sync sync) {
    if (disk_.strikes(name_, true))
      return disk_.error();
    auto upto = size_->written.load();
    auto status = sync();
    if (status.ok())
      size_->synced = upto;
    ++disk_.syncs_;
    return status;
  }

  faulty_disk& disk_;
  std::string name_;
  std::shared_ptr<faulty_disk::extent> size_;
};

class faulty_ahead final : public rocksdb::FSRandomRWFileOwnerWrapper {
public:
  faulty_ahead(faulty_disk& disk, std::string name, std::unique_ptr<rocksdb::FSRandomRWFile> opened)
    : FSRandomRWFileOwnerWrapper(std::move(opened)), disk_(disk), name_(std::move(name)) {}

  IOStatus Write(std::uint64_t offset, const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    if (disk_.strikes(name_, false))
      return disk_.error();
    return FSRandomRWFileOwnerWrapper::Write(offset, data, options, debug);
  }

private:
  faulty_disk& disk_;
  std::string name_;
};

void faulty_disk::fail(fault how, where place, when moment) {
  place_ = place;
  moment_ = moment;
  how_ = how;
}

void faulty_disk::mend() { how_ = fault::none; }

bool faulty_disk::strikes(const std::string& name, bool sync) {
  bool here = place_ == where::everywhere || name.ends_with(".log");
  bool now = how_ != fault::none && here && (moment_ == when::sync) == sync;
  failures_ += now;
  return now;
}

IOStatus faulty_disk::error() const {
  return how_ == fault::no_space ? IOStatus::NoSpace("the disk of the test is full")
                                 : IOStatus::IOError("the disk of the test is broken");
}

IOStatus faulty_disk::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* opened, IODebugContext* debug) {
  auto status = target()->NewWritableFile(name, options, opened, debug);
  if (!status.ok())
    return status;
  auto size = std::make_shared<extent>();
  {
    std::lock_guard guard{mutex_};
    files_[name] = size;
  }
  *opened = std::make_unique<faulty_file>(*this, name, std::move(size), std::move(*opened));
  return status;
}

IOStatus faulty_disk::NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSRandomRWFile>* opened, IODebugContext* debug) {
  if (!random_writes_)
    return IOStatus::NotSupported("files of the test are written from their beginning to their end");
  auto status = target()->NewRandomRWFile(name, options, opened, debug);
  if (status.ok())
    *opened = std::make_unique<faulty_ahead>(*this, name, std::move(*opened));
  return status;
}

IOStatus faulty_disk::RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                                 IODebugContext* debug) {
  auto status = target()->RenameFile(from, to, options, debug);
  std::lock_guard guard{mutex_};
  if (auto found = files_.extract(from); status.ok() && found) {
    files_.erase(to);
    found.key() = to;
    files_.insert(std::move(found));
  }
  return status;
}

IOStatus faulty_disk::DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) {
  {
    std::lock_guard guard{mutex_};
    files_.erase(name);
  }
  return target()->DeleteFile(name, options, debug);
}

IOStatus faulty_disk::GetFreeSpace(const std::string&, const IOOptions&, std::uint64_t* free, IODebugContext*) {
  *free = room_;
  return IOStatus::OK();
}

namespace {

// Of the pages between the two offsets some are as they were before: zeros.
void lose_pages(const std::string& name, std::uint64_t from, std::uint64_t end, std::mt19937_64& random) {
  constexpr std::uint64_t page = 4096;
  std::fstream file(name, std::ios::in | std::ios::out | std::ios::binary);
  for (auto at = from; at < end;) {
    auto next = std::min(end, (at / page + 1) * page);
    if (random() % 2 == 0) {
      file.seekp(static_cast<std::streamoff>(at));
      file << std::string(next - at, '\0');
    }
    at = next;
  }
}

} // namespace

void faulty_disk::lose_power(std::uint64_t seed) {
  std::mt19937_64 random{seed};
  std::lock_guard guard{mutex_};
  for (const auto& [name, size] : files_) {
    std::error_code error;
    auto there = std::filesystem::file_size(name, error);
    if (error || there <= size->synced)
      continue;
    std::uniform_int_distribution<std::uint64_t> kept{size->synced, there};
    if (there > size->written && random() % 4 != 0) // its size was known before, so only pages can be missing
      lose_pages(name, size->synced, size->written, random);
    else
      std::filesystem::resize_file(name, kept(random), error);
  }
  files_.clear();
}

} // namespace troupe::storage::testing
