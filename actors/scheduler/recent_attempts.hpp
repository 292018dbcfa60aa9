#pragma once

#include "actors/scheduler/flat_index.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace troupe::scheduling {

/// The last so many attempts whose end on a device was told: a ring, and where in it each lies. A device is told apart
/// by a hash of its name: what one says to have ended must not end what another one runs.
class recent_attempts {
public:
  explicit recent_attempts(index max) : max_(max) {}

  /// `hello` is the last one of the device before the end.
  void add(std::string_view device, std::uint64_t attempt, std::uint64_t hello) {
    entry fresh{attempt, flat_index::hash_of(device), hello};
    if (auto known = find(fresh); known != none) {
      ring_[known].hello = std::max(ring_[known].hello, hello);
      return;
    }
    if (ring_.size() < max_) {
      ring_.push_back(fresh);
    } else {
      places_.erase(hash_of(ring_[next_]), next_);
      ring_[next_] = fresh;
    }
    places_.insert(hash_of(fresh), next_);
    next_ = (next_ + 1) % max_;
  }
  bool contains(std::string_view device, std::uint64_t attempt) const { return contains(device, attempt, 0); }
  /// Whether it ended after that hello of the device. One that ended before, and of which the device says in a later
  /// hello that it runs, does run: the order to stop it was lost.
  bool contains(std::string_view device, std::uint64_t attempt, std::uint64_t hello) const {
    auto at = find({attempt, flat_index::hash_of(device)});
    return at != none && ring_[at].hello >= hello;
  }

private:
  struct entry {
    std::uint64_t attempt = 0;
    flat_index::hash device = 0;
    std::uint64_t hello = 0;
  };
  static flat_index::hash hash_of(const entry& e) {
    return flat_index::hash_of(static_cast<index>(e.attempt >> 32), static_cast<index>(e.attempt)) ^ e.device;
  }
  index find(const entry& e) const {
    return places_.find(hash_of(e),
                        [&](index at) { return ring_[at].attempt == e.attempt && ring_[at].device == e.device; });
  }

  index max_;
  index next_ = 0;
  std::vector<entry> ring_;
  flat_index places_;
};

} // namespace troupe::scheduling
