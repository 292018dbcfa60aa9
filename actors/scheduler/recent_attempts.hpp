#pragma once

#include "actors/scheduler/flat_index.hpp"

#include <array>
#include <vector>

namespace troupe::scheduling {

/// The last so many attempts whose end was told: a ring, and where in it each lies.
class recent_attempts {
public:
  explicit recent_attempts(index max) : max_(max) {}

  void add(std::uint64_t attempt) {
    if (contains(attempt))
      return;
    if (ring_.size() < max_) {
      ring_.push_back(attempt);
    } else {
      places_.erase(hash_of(ring_[next_]), next_);
      ring_[next_] = attempt;
    }
    places_.insert(hash_of(attempt), next_);
    next_ = (next_ + 1) % max_;
  }
  bool contains(std::uint64_t attempt) const {
    return places_.find(hash_of(attempt), [&](index at) { return ring_[at] == attempt; }) != none;
  }

private:
  static flat_index::hash hash_of(std::uint64_t attempt) {
    return flat_index::hash_of(static_cast<index>(attempt >> 32), static_cast<index>(attempt));
  }

  index max_;
  index next_ = 0;
  std::vector<std::uint64_t> ring_;
  flat_index places_;
};

} // namespace troupe::scheduling
