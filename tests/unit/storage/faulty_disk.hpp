#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace troupe::storage::testing {

/// A disk that can fail, and that can lose what was not synced, as a machine does that loses its power.
class faulty_disk final : public rocksdb::FileSystemWrapper {
public:
  enum class fault { none, no_space, io };
  enum class where { log, everywhere };
  enum class when { append, torn_append, sync };

  faulty_disk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "troupe.faulty"; }

  /// From now on, until mend(): writes (or syncs) to the write-ahead log, or to every file, fail.
  void fail(fault how, where place, when moment);
  void mend();
  void set_room(std::uint64_t bytes) { room_ = bytes; }
  /// Whether files can be written at any offset.
  void set_random_writes(bool can) { random_writes_ = can; }
  std::uint64_t syncs() const { return syncs_; }
  std::uint64_t failures() const { return failures_; }

  /// What was written and not synced is cut off each file, at a place between that `seed` picks; or some of its pages
  /// are as they were before, where the file was that long already. The database is closed.
  void lose_power(std::uint64_t seed);

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* opened,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* opened,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options, std::uint64_t* free,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

private:
  friend class faulty_file;
  friend class faulty_ahead;
  struct extent {
    std::atomic<std::uint64_t> written = 0, synced = 0;
  };

  bool strikes(const std::string& name, bool sync);
  rocksdb::IOStatus error() const;

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<extent>> files_;
  std::atomic<fault> how_ = fault::none;
  std::atomic<where> place_ = where::log;
  std::atomic<when> moment_ = when::append;
  std::atomic<bool> random_writes_ = true;
  std::atomic<std::uint64_t> room_ = UINT64_MAX;
  std::atomic<std::uint64_t> syncs_ = 0, failures_ = 0;
};

} // namespace troupe::storage::testing
