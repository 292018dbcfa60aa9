#pragma once

// Random numbers that are the same on every machine: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
// Number Generators, OOPSLA 2014). Every concern has a stream of its own, so that what one part draws changes nothing
// in others: that is what lets a failing run be shrunk.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe::simulation {

class dice {
public:
  explicit dice(std::uint64_t seed) : state_(seed) {}
  /// A stream of its own for a concern.
  dice stream(std::string_view concern) const {
    auto hash = state_ ^ 0xcbf29ce484222325u;
    for (char c : concern)
      hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3u;
    dice out(hash);
    out.next();
    return out;
  }

  std::uint64_t next() {
    auto z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// 0 … n-1; n > 0.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  /// True in so many of a thousand cases.
  bool permille(std::int64_t many) { return static_cast<std::int64_t>(below(1000)) < many; }
  /// Each order of magnitude between the two as likely as another.
  std::int64_t magnitude(std::int64_t low, std::int64_t high) {
    auto doublings = 0;
    for (auto x = low; x < high; x *= 2)
      ++doublings;
    auto begin = low << between(0, doublings);
    auto out = between(begin, begin * 2);
    return out < high ? out : high;
  }
  template <class Container>
  auto& pick(Container& from) {
    return from[static_cast<std::size_t>(below(from.size()))];
  }

private:
  std::uint64_t state_;
};

} // namespace troupe::simulation
