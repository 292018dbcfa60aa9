#pragma once

#include "common/check.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace troupe::scheduling {

/// A place in a slab; what records refer to each other by.
using index = std::uint32_t;
inline constexpr index none = UINT32_MAX;

/// Records in one vector with a free list, so that a million of them cost no allocation each and an index stays valid
/// until it is freed.
template <class T>
class slab {
public:
  index add(T&& record) {
    if (free_.empty()) {
      TROUPE_CHECK(records_.size() < none);
      records_.push_back(std::move(record));
      used_.push_back(true);
      return static_cast<index>(records_.size() - 1);
    }
    auto at = free_.back();
    free_.pop_back();
    records_[at] = std::move(record);
    used_[at] = true;
    return at;
  }
  void remove(index at) {
    TROUPE_CHECK(used(at));
    records_[at] = T{};
    used_[at] = false;
    free_.push_back(at);
  }
  T& operator[](index at) { return records_[at]; }
  const T& operator[](index at) const { return records_[at]; }
  bool used(index at) const { return at < used_.size() && used_[at]; }
  std::size_t size() const { return records_.size() - free_.size(); }
  /// One above the highest index ever used.
  index end() const { return static_cast<index>(records_.size()); }

private:
  std::vector<T> records_;
  std::vector<bool> used_;
  std::vector<index> free_;
};

} // namespace troupe::scheduling
