#pragma once

// The entries of one bucket by key. A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan: "Faster algorithms for the shortest
// path problem", JACM 1990) with a small heap in front: only the next few are in order; the others lie unsorted in
// slots, the further off the coarser, sixteen of each size. Nearly all that happens is that a key rises, which here is
// one append; in a heap of ten thousand it is a walk through memory that no cache holds.

#include "actors/scheduler/slab.hpp"

#include <algorithm>
#include <vector>

namespace troupe::scheduling {

/// Microseconds of a whole device, divided by weight.
using virtual_time = std::int64_t;

struct turn {
  virtual_time key = 0;
  virtual_time ceiling = 0; // what use elsewhere can raise the key to
  std::uint64_t order = 0;  // breaks ties: who came first
  index entry = none;
  index account = none;

  bool before(const turn& other) const { return key != other.key ? key < other.key : order < other.order; }
};

/// Where an entry's turn lies, in the order of its bucket.
struct turn_place {
  index at = none; // none: in no order
  std::uint32_t slot = 0;
};

/// By entry; one for the orders of all buckets, as an entry is in one of them at most.
using turn_places = std::vector<turn_place>;

class turn_order {
public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// No key is lower.
  virtual_time bound() const { return near_.empty() ? near_last_.key : near_.front().key; }
  /// The first as the keys stand; there must be one. Slow.
  const turn& least() const;
  const turn& at(turn_place place) const {
    return place.slot == near_slot ? near_[place.at] : slots_[place.slot][place.at];
  }

  /// Sees that first() can be asked, and raises keys it passes to `key_now(turn)`. False: there are none.
  template <class KeyNow>
  bool open(turn_places& places, KeyNow key_now);
  /// After open().
  const turn& first() const { return near_.front(); }

  void insert(const turn& t, turn_places& places);
  void remove(index entry, turn_places& places);
  /// The entry's turn is another than it was.
  void replace(const turn& t, turn_places& places);

  void check_invariants(const turn_places& places) const;

private:
  static constexpr std::uint32_t near_slot = UINT32_MAX;
  static constexpr std::size_t digits = 16;
  static constexpr std::size_t near_max = 256; // taken into the heap at once

  std::size_t slot_of(virtual_time key) const;
  std::size_t lowest_slot() const;
  void file(const turn& t, turn_places& places);
  bool is_near(const turn& t) const { return !near_last_.before(t); }
  void bring_near(std::size_t count, turn_places& places);
  void split(turn_places& places);
  void set(std::size_t at, const turn& t, turn_places& places);
  void sift_up(std::size_t at, turn_places& places);
  void sift_down(std::size_t at, turn_places& places);

  std::size_t size_ = 0;
  std::vector<turn> near_; // a heap of all up to near_last_
  turn near_last_;         // the others come after it …
  virtual_time base_ = 0;  // … and none has a key below this
  std::vector<std::vector<turn>>
      slots_;                // by the highest hexadecimal digit in which the key differs from base_, and that digit
  std::vector<turn> opened_; // the slot that is being taken apart
};

template <class KeyNow>
bool turn_order::open(turn_places& places, KeyNow key_now) {
  if (empty())
    return false;
  while (near_.empty()) {
    auto slot = lowest_slot();
    opened_.clear();
    opened_.swap(slots_[slot]);
    std::size_t kept = 0;
    for (auto& t : opened_) {
      t.key = key_now(t);
      if (slot_of(t.key) == slot)
        opened_[kept++] = t;
      else
        file(t, places);
    }
    opened_.resize(kept);
    if (kept <= near_max)
      bring_near(kept, places);
    else if (slot < digits) // the last digit: all have the same key
      bring_near(std::max(near_max, kept / 8), places);
    else
      split(places);
  }
  return true;
}

} // namespace troupe::scheduling
