#pragma once

#include "common/check.hpp"
#include "common/huge_pages.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace troupe::scheduling {

/// A place in a slab; what records refer to each other by.
using index = std::uint32_t;
inline constexpr index none = UINT32_MAX;

/// Asks for memory that will be looked at soon; it is no harm if it is not.
inline void prefetch(const void* at) { __builtin_prefetch(at, 1); }

/// Records in pieces of 2 MiB with a free list, so that a million of them cost no allocation each, growing copies none
/// but the first few, and an index stays valid until it is freed.
template <class T>
class slab {
public:
  /// The index of a record that is as T{} makes it.
  index add() {
    if (free_.empty()) {
      TROUPE_CHECK(end_ < none);
      if (end_ % piece == 0) {
        pieces_.emplace_back();
        if (end_ > 0)
          pieces_.back().reserve(piece);
      }
      pieces_.back().emplace_back();
      used_.push_back(true);
      return end_++;
    }
    auto at = free_.back();
    free_.pop_back();
    used_[at] = true;
    return at;
  }
  void remove(index at) {
    TROUPE_CHECK(used(at));
    auto* record = &(*this)[at];
    std::destroy_at(record); // made anew where it lies: a copy of it would wait for all that was written before
    std::construct_at(record);
    used_[at] = false;
    free_.push_back(at);
  }
  T& operator[](index at) { return pieces_[at / piece].data()[at % piece]; }
  const T& operator[](index at) const { return pieces_[at / piece].data()[at % piece]; }
  bool used(index at) const { return at < end_ && used_[at]; }
  std::size_t size() const { return end_ - free_.size(); }
  /// One above the highest index ever used.
  index end() const { return end_; }

private:
  static constexpr index piece = static_cast<index>(std::bit_floor(huge_page_allocator<T>::page_bytes / sizeof(T)));

  std::vector<std::vector<T, huge_page_allocator<T>>> pieces_;
  std::vector<bool> used_;
  std::vector<index> free_;
  index end_ = 0;
};

} // namespace troupe::scheduling
