#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace troupe::storage {

/// The last number of each sequence that was written lately, the least recently used forgotten first. Owned by one
/// thread, or guarded by who has it.
class last_numbers {
public:
  explicit last_numbers(std::size_t entries_max) : entries_max_(entries_max) {}

  std::optional<std::uint64_t> find(const std::string& sequence);
  void put(const std::string& sequence, std::uint64_t number);
  void clear();
  std::size_t size() const { return found_.size(); }

private:
  using entries = std::list<std::pair<std::string, std::uint64_t>>;
  std::size_t entries_max_;
  entries recent_; // the latest used first
  std::unordered_map<std::string_view, entries::iterator> found_;
};

} // namespace troupe::storage
