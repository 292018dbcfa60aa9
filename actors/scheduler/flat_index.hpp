#pragma once

#include "actors/scheduler/slab.hpp"

#include <functional>
#include <string_view>

namespace troupe::scheduling {

/// Finds records by a hash of what names them: open addressing with linear probing and backward-shift deletion (Knuth,
/// TAOCP 3, 6.4, algorithm R). It holds the hash and the record's index, 8 bytes a cell, at most three quarters full;
/// the name is in the record, so finding one costs no more than that and a cell.
class flat_index {
public:
  using hash = std::uint32_t;
  static hash hash_of(std::string_view name) { return mix(std::hash<std::string_view>{}(name)); }
  static hash hash_of(std::string_view name, std::uint32_t number) {
    return mix(std::hash<std::string_view>{}(name) + number * 0x9e3779b97f4a7c15ULL);
  }
  static hash hash_of(index high, index low) { return mix(std::uint64_t{high} << 32 | low); }

  /// `is(value)`: whether it is the one that is meant, as others may have the same hash.
  template <class Is>
  index find(hash h, Is is) const {
    if (cells_.empty())
      return none;
    for (auto at = h & mask(); cells_[at].value != none; at = next(at))
      if (cells_[at].of == h && is(cells_[at].value))
        return cells_[at].value;
    return none;
  }

  /// Asks for the memory in which it will be looked for.
  void expect(hash h) const {
    if (!cells_.empty())
      prefetch(&cells_[h & mask()]);
  }

  /// It must not be there.
  void insert(hash h, index value) {
    if ((size_ + 1) * 4 > cells_.size() * 3)
      grow();
    place({h, value});
    ++size_;
  }

  /// It must be there.
  void erase(hash h, index value) {
    auto hole = h & mask();
    while (cells_[hole].value != value) {
      TROUPE_CHECK(cells_[hole].value != none);
      hole = next(hole);
    }
    for (auto at = next(hole); cells_[at].value != none; at = next(at)) {
      if (((at - cells_[at].of) & mask()) >= ((at - hole) & mask())) {
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
    hash of = 0;
    index value = none;
  };

  // The finalizer of MurmurHash3 (Appleby, public domain).
  static hash mix(std::uint64_t k) {
    k ^= k >> 33;
    k *= 0xff51afd7ed558ccdULL;
    k ^= k >> 33;
    k *= 0xc4ceb9fe1a85ec53ULL;
    return static_cast<hash>(k >> 32);
  }
  std::size_t mask() const { return cells_.size() - 1; }
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
  void place(cell c) {
    auto at = c.of & mask();
    while (cells_[at].value != none)
      at = next(at);
    cells_[at] = c;
  }
  void grow() {
    decltype(cells_) old(cells_.empty() ? 16 : cells_.size() * 2);
    old.swap(cells_);
    for (const auto& c : old)
      if (c.value != none)
        place(c);
  }

  std::vector<cell, huge_page_allocator<cell>> cells_;
  std::size_t size_ = 0;
};

} // namespace troupe::scheduling
