#pragma once

// The lines of one bucket by key. A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan: "Faster algorithms for the shortest
// path problem", JACM 1990) with a short sorted list in front: only the next few are in order; the others lie unsorted
// in slots, the further off the coarser, sixteen of each size. Nearly all that happens is that a key rises, which here
// is one append; in a heap of ten thousand it is a walk through memory that no cache holds.
//
// Nothing is looked for in here: a key that rose is put right when its turn comes up, and a turn that counts no more is
// left lying until then, or until there are too many of them.

#include "actors/scheduler/slab.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <vector>

namespace troupe::scheduling {

/// Microseconds of a whole device, divided by weight.
using virtual_time = std::int64_t;

/// Says which of a line's turns counts; 0 is none.
using ticket_number = std::uint64_t;

struct turn {
  virtual_time key = 0;     // no higher than the line's key is
  virtual_time ceiling = 0; // what use elsewhere can raise the key to
  ticket_number ticket = 0; // breaks ties: who came first
  index line = none;
  index account = none;

  bool before(const turn& other) const { return key != other.key ? key < other.key : ticket < other.ticket; }
};

class turn_order {
public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// No key is lower.
  virtual_time bound() const { return near_.empty() ? near_last_.key : near_.back().key; }
  /// The first as the keys stand; there must be one. Slow.
  const turn& least() const;

  /// Sees that first() can be asked, and raises keys that it passes to `key_now(turn)`. False: there are none.
  template <class KeyNow>
  bool open(KeyNow key_now);
  /// After open().
  const turn& first() const { return near_.back(); }
  /// The line of the first, where that is known; none otherwise.
  index likely_next() const { return near_.empty() ? none : near_.back().line; }
  /// Whether the turn with this ticket is the one that pop() would take.
  bool leads(ticket_number ticket) const { return !near_.empty() && near_.back().ticket == ticket; }
  void pop() {
    near_.pop_back();
    --size_;
  }
  void insert(const turn& t);
  /// Takes all out of which `is(turn)` is true. Slow.
  template <class Is>
  void erase_if(Is is);
  template <class Look>
  void for_each(Look look) const;

  void check_invariants() const;

private:
  static constexpr unsigned digit_bits = 8;
  static constexpr std::size_t digits = std::size_t{1} << digit_bits;
  static constexpr std::size_t digits_of_key = 64 / digit_bits;
  static constexpr std::size_t near_max = 128; // taken into the list at once
  using slot = std::vector<turn>;

  static bool later(const turn& a, const turn& b) { return b.before(a); }
  std::size_t slot_of(virtual_time key) const;
  std::size_t lowest_slot() const;
  slot& slot_at(std::size_t number) { return (*slots_[number / digits])[number % digits]; }
  const slot& slot_at(std::size_t number) const { return (*slots_[number / digits])[number % digits]; }
  bool is_filled(std::size_t number) const { return (filled_[number / 64] >> number % 64 & 1) != 0; }
  void mark_empty(std::size_t number) { filled_[number / 64] &= ~(std::uint64_t{1} << number % 64); }
  template <class Look>
  void for_each_filled(Look look) const;
  void file(const turn& t);
  bool is_near(const turn& t) const { return t.key < base_ || !near_last_.before(t); }
  void bring_near(std::size_t count);
  void split();
  void shorten();

  std::size_t size_ = 0;
  std::vector<turn> near_; // all up to near_last_ or below base_, the first at the end
  turn near_last_;         // the others come after it …
  virtual_time base_ = 0;  // … and none has a key below this
  /// By the highest digit, to base 256, in which the key differs from base_, and by that digit.
  std::array<std::unique_ptr<std::array<slot, digits>>, digits_of_key> slots_;
  std::array<std::uint64_t, digits * digits_of_key / 64> filled_{}; // a bit for each slot
  slot opened_;                                                     // the slot that is being taken apart
};

template <class Look>
void turn_order::for_each_filled(Look look) const {
  for (std::size_t word = 0; word < filled_.size(); ++word)
    for (auto bits = filled_[word]; bits != 0; bits &= bits - 1)
      look(word * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
}

template <class KeyNow>
bool turn_order::open(KeyNow key_now) {
  if (empty())
    return false;
  while (near_.empty()) {
    auto from = lowest_slot();
    opened_.clear();
    opened_.swap(slot_at(from));
    mark_empty(from);
    std::size_t kept = 0;
    for (auto& t : opened_) {
      t.key = key_now(t);
      if (slot_of(t.key) == from)
        opened_[kept++] = t;
      else
        file(t);
    }
    opened_.resize(kept);
    if (kept <= near_max)
      bring_near(kept);
    else if (from < digits) // the last digit: all have the same key
      bring_near(std::max(near_max, kept / 2));
    else
      split();
  }
  return true;
}

template <class Is>
void turn_order::erase_if(Is is) {
  size_ -= std::erase_if(near_, is);
  for_each_filled([&](std::size_t number) {
    size_ -= std::erase_if(slot_at(number), is);
    if (slot_at(number).empty())
      mark_empty(number);
  });
}

template <class Look>
void turn_order::for_each(Look look) const {
  std::for_each(near_.begin(), near_.end(), look);
  for_each_filled([&](std::size_t number) { std::for_each(slot_at(number).begin(), slot_at(number).end(), look); });
}

} // namespace troupe::scheduling
