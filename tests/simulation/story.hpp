#pragma once

// What happens, as one number and, when it is wanted, as lines for a person. The number is of everything that was said:
// two runs with the same number did the same.

#include "tests/simulation/timeline.hpp"

#include <spdlog/fmt/fmt.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe::simulation {

class story {
public:
  story(const timeline& time, bool told) : time_(time), told_(told) {}

  template <class... Parts>
  void say(std::string_view format, const Parts&... parts) {
    mix(static_cast<std::uint64_t>(time_.now()));
    mix(format);
    (mix(parts), ...);
    if (told_)
      lines_.push_back(stamp() +
                       fmt::vformat(fmt::string_view(format.data(), format.size()), fmt::make_format_args(parts...)));
  }
  /// Bytes that belong to the run, but are nothing to read.
  void mix(std::string_view bytes) {
    for (char c : bytes)
      hash_ = (hash_ ^ static_cast<std::uint8_t>(c)) * 0x100000001b3u;
    mix(static_cast<std::uint64_t>(bytes.size()));
  }
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void mix(Number number) {
    hash_ = (hash_ ^ static_cast<std::uint64_t>(number)) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 29;
  }

  std::uint64_t hash() const { return hash_; }
  bool is_told() const { return told_; }
  const std::vector<std::string>& lines() const { return lines_; }

private:
  std::string stamp() const { return fmt::format("{:>5}.{:06} ", time_.now() / second, time_.now() % second); }
  const timeline& time_;
  bool told_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
  std::vector<std::string> lines_;
};

} // namespace troupe::simulation
