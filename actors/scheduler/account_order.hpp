#pragma once

// Accounts in order of key, each with a set of what it has work for, so that the first can be found that has work for
// one of some. Sorted blocks under a list of what is in each: with ten thousand accounts a search looks at some hundred
// words in a row, and a move shifts half a block.

#include "actors/scheduler/slab.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace troupe::scheduling {

/// Microseconds of a whole device, divided by weight.
using virtual_time = std::int64_t;

/// Rises with each entry; 0 is none.
using ticket_number = std::uint64_t;

class account_order {
public:
  struct entry {
    virtual_time key = 0;
    ticket_number ticket = 0; // breaks ties: who came first
    std::uint64_t work = 0;   // a bit for each sort of work that it has
    index account = none;
    bool before(const entry& other) const { return key != other.key ? key < other.key : ticket < other.ticket; }
  };
  /// Where an entry is; holds until the order changes.
  struct place {
    std::size_t block, at;
  };

  bool empty() const { return blocks_.empty(); }
  /// There must be one.
  const entry& front() const { return blocks_.front().front(); }
  const entry& operator[](place where) const { return blocks_[where.block][where.at]; }
  /// The first from `from` on that has work of one of these sorts.
  std::optional<place> find(std::uint64_t work, place from) const;
  std::optional<place> find(std::uint64_t work) const { return find(work, place{0, 0}); }
  /// Where the entry with this key and ticket is; it must be there.
  place find(virtual_time key, ticket_number ticket) const;
  void insert(const entry& e);
  void erase(place where);
  void set_work(place where, std::uint64_t work);

  template <class Look>
  void for_each(Look look) const {
    for (const auto& entries : blocks_)
      for (const auto& e : entries)
        look(e);
  }
  void check_invariants() const;

private:
  static constexpr std::size_t block_max = 64;
  using block = std::vector<entry>;

  std::size_t block_for(const entry& e) const;
  static std::uint64_t work_in(const block& from);

  std::vector<block> blocks_; // none empty
  std::vector<entry> lasts_;  // of each block: what it holds is not after this, and what the next one holds is
  mutable std::vector<std::uint64_t> work_; // of each block; it may have less
};

} // namespace troupe::scheduling
