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
  auto written = reserved ? disk_.put_number(key, *reserved + block_size) : result<void>{reserved.error()};
  if (!written) {
    log::error("no number of the sequence {}: {}", name, written.error().message);
    return false;
  }
  mine = {*reserved + 1, *reserved + block_size + 1};
  return true;
}

} // namespace troupe::storage
