#pragma once

#include <caf/actor.hpp>

#include <atomic>
#include <memory>

namespace troupe {

/// The actors that there is one of. Filled while the head starts, before the first message; only read afterwards.
struct address_book {
  caf::actor directory, scheduler, cluster, start_timer;
  /// The scheduler's word: false as long as it is sure to take what comes, so that nobody need ask.
  std::atomic<bool> a_line_may_be_full = false;

  /// Nobody holds them any more through this.
  void clear() { directory = scheduler = cluster = start_timer = nullptr; }
};
using address_book_ptr = std::shared_ptr<address_book>;

} // namespace troupe
