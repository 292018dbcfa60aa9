#pragma once

#include "actors/scheduler/slab.hpp"

#include <unordered_map>

namespace troupe::scheduling {

/// How long stages take, learned: an exponentially weighted moving average (weight 1/5 to the newest, a plain mean of
/// the first five) by (kind, model) and device type.
class run_times {
public:
  void learn(index kind, index model, index device_type, std::uint32_t run_ms) {
    if (averages_.size() >= averages_max && !averages_.contains(key{kind, model, device_type}))
      return;
    auto& average = averages_[key{kind, model, device_type}];
    average.samples = average.samples < 5 ? average.samples + 1 : 5;
    average.mean_ms += (static_cast<double>(run_ms) - average.mean_ms) / average.samples;
  }

  /// Milliseconds; `otherwise` when nothing of the sort has run yet.
  std::uint32_t expect(index kind, index model, index device_type, std::uint32_t otherwise) const {
    auto known = averages_.find(key{kind, model, device_type});
    return known == averages_.end() ? otherwise : static_cast<std::uint32_t>(known->second.mean_ms + 0.5);
  }

private:
  static constexpr std::size_t averages_max = 100'000;

  struct key {
    index kind, model, device_type;
    friend bool operator==(const key&, const key&) = default;
  };
  struct hash {
    std::size_t operator()(const key& k) const noexcept {
      return static_cast<std::size_t>(
          (std::uint64_t{k.kind} * 0x9e3779b97f4a7c15ULL + k.model) * 0xff51afd7ed558ccdULL + k.device_type);
    }
  };
  struct running_mean {
    double mean_ms = 0;
    int samples = 0;
  };
  std::unordered_map<key, running_mean, hash> averages_;
};

} // namespace troupe::scheduling
