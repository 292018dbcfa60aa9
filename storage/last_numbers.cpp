#include "storage/last_numbers.hpp"

namespace troupe::storage {

std::optional<std::uint64_t> last_numbers::find(const std::string& sequence) {
  auto at = found_.find(sequence);
  if (at == found_.end())
    return {};
  recent_.splice(recent_.begin(), recent_, at->second);
  return at->second->second;
}

void last_numbers::put(const std::string& sequence, std::uint64_t number) {
  if (find(sequence)) {
    recent_.front().second = number;
    return;
  }
  recent_.emplace_front(sequence, number);
  found_.emplace(recent_.front().first, recent_.begin());
  if (found_.size() > entries_max_) {
    found_.erase(recent_.back().first);
    recent_.pop_back();
  }
}

void last_numbers::clear() {
  found_.clear();
  recent_.clear();
}

} // namespace troupe::storage
