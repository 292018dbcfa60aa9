#pragma once

#include "storage/store.hpp"

#include <mutex>
#include <unordered_map>

namespace troupe::storage {

/// Numbers that are never given twice. A block of them is reserved on disk before the first is given; what is left of
/// it when the process ends is skipped. Any thread.
class sequences {
public:
  explicit sequences(const store& disk) : disk_(disk) {}

  /// 0 when the disk fails, or is full.
  std::uint64_t next(const std::string& name);

private:
  struct block {
    std::uint64_t next = 1;
    std::uint64_t end = 1; // the first that is not reserved
  };
  bool reserve(const std::string& name, block& mine);

  const store& disk_;
  std::mutex mutex_;
  std::unordered_map<std::string, block> blocks_;
};

} // namespace troupe::storage
