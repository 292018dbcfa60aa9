#include "storage/sequences.hpp"

#include "common/log.hpp"

namespace troupe::storage {

namespace {
constexpr std::uint64_t block_size = 1000;
}

std::uint64_t sequences::next(const std::string& name) {
  std::lock_guard guard{mutex_};
  auto& mine = blocks_[name];
  if (mine.next == mine.end && !reserve(name, mine))
    return 0;
  return mine.next++;
}

bool sequences::reserve(const std::string& name, block& mine) {
  auto key = "sequence/" + name;
  auto reserved = disk_.number(key);
  if (!reserved) {
    log::error("sequence {}: {}", name, reserved.error().message);
    return false;
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  auto status = disk_.db().Put(synced, disk_.handle(column::meta), key, number_record(*reserved + block_size));
  if (!status.ok()) {
    log::error("sequence {}: {}", name, status.ToString());
    return false;
  }
  mine = {*reserved + 1, *reserved + block_size + 1};
  return true;
}

} // namespace troupe::storage
