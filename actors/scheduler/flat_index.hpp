#pragma once

#include "actors/scheduler/slab.hpp"

namespace troupe::scheduling {

/// A hash map from 64 bits to an index: open addressing with linear probing and backward-shift deletion (Knuth, TAOCP
/// 3, 6.4, algorithm R). 16 bytes a cell, at most three quarters full.
class flat_index {
public:
  static std::uint64_t key(index high, index low) { return std::uint64_t{high} << 32 | low; }

  index find(std::uint64_t k) const {
    if (cells_.empty())
      return none;
    for (auto at = home(k);; at = next(at)) {
      if (cells_[at].value == none)
        return none;
      if (cells_[at].key == k)
        return cells_[at].value;
    }
  }

  /// `k` must not be there.
  void insert(std::uint64_t k, index value) {
    if ((size_ + 1) * 4 > cells_.size() * 3)
      grow();
    place({k, value});
    ++size_;
  }

  /// `k` must be there.
  void erase(std::uint64_t k) {
    auto hole = home(k);
    while (cells_[hole].key != k || cells_[hole].value == none) {
      TROUPE_CHECK(cells_[hole].value != none);
      hole = next(hole);
    }
    for (auto at = next(hole); cells_[at].value != none; at = next(at)) {
      if (((at - home(cells_[at].key)) & mask()) >= ((at - hole) & mask())) {
        cells_[hole] = cells_[at];
        hole = at;
      }
    }
    cells_[hole].value = none;
    --size_;
  }

  std::size_t size() const { return size_; }

private:
  struct cell {
    std::uint64_t key = 0;
    index value = none;
  };

  std::size_t mask() const { return cells_.size() - 1; }
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
  // The finalizer of MurmurHash3 (Appleby, public domain).
  std::size_t home(std::uint64_t k) const {
    k ^= k >> 33;
    k *= 0xff51afd7ed558ccdULL;
    k ^= k >> 33;
    k *= 0xc4ceb9fe1a85ec53ULL;
    k ^= k >> 33;
    return k & mask();
  }
  void place(cell c) {
    auto at = home(c.key);
    while (cells_[at].value != none)
      at = next(at);
    cells_[at] = c;
  }
  void grow() {
    std::vector<cell> old(cells_.empty() ? 16 : cells_.size() * 2);
    old.swap(cells_);
    for (const auto& c : old)
      if (c.value != none)
        place(c);
  }

  std::vector<cell> cells_;
  std::size_t size_ = 0;
};

} // namespace troupe::scheduling
