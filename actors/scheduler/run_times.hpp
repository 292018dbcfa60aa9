#pragma once

#include "actors/scheduler/slab.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe::scheduling {

/// How long stages take, learned: an exponentially weighted moving average (weight 1/5 to the newest, a plain mean of
/// the first five) by work, which is a kind and a model, and device type; and beside it the mean deviation from it, as
/// TCP keeps it for its time-outs (Jacobson: "Congestion avoidance and control", SIGCOMM 1988). By the same two it is
/// learned how much longer a run takes that begins by loading its model, and how long inputs take to be brought.
class run_times {
public:
  struct average {
    float mean_ms = 0;
    float deviation_ms = 0;
    float load_ms = 0;     // more of a run, when the model was not loaded
    float transfer_ms = 0; // before the run, when the inputs lay elsewhere
    std::uint32_t samples = 0, loads = 0, transfers = 0;
  };

  /// The number of (kind, model); none when there are too many to remember.
  index work(index kind, index model) {
    auto at = std::uint64_t{kind} << 32 | model;
    auto known = works_.find(at);
    if (known != works_.end())
      return known->second;
    if (works_.size() >= works_max)
      return none;
    names_.emplace_back(kind, model);
    return works_.emplace(at, static_cast<index>(works_.size())).first->second;
  }

  /// `cold`: its model was loaded in the run; `transfer_ms`: what it took to bring inputs that lay elsewhere, before
  /// the run; -1 where they did not, or it is not known.
  void learn(index work, index device_type, std::uint32_t run_ms, bool cold, std::int64_t transfer_ms) {
    if (work == none)
      return;
    if (averages_.size() <= device_type)
      averages_.resize(device_type + 1);
    auto& of_type = averages_[device_type];
    if (of_type.size() <= work)
      of_type.resize(work + 1);
    auto& own = of_type[work];
    auto took = static_cast<float>(run_ms);
    if (cold && own.samples > 0)
      take(own.load_ms, own.loads, std::max(0.0f, took - own.mean_ms));
    if (transfer_ms >= 0)
      take(own.transfer_ms, own.transfers, static_cast<float>(transfer_ms));
    // What is known of the load is taken off, so that the mean is of a run that has all it needs.
    auto plain = std::max(0.0f, took - (cold ? own.load_ms : 0));
    auto off = std::abs(plain - own.mean_ms);
    auto first = own.samples == 0;
    take(own.mean_ms, own.samples, plain);
    own.deviation_ms = first ? plain / 2 : own.deviation_ms + (off - own.deviation_ms) / 4;
  }

  /// Whether anything has run on devices of the type.
  bool knows(index device_type) const { return device_type < averages_.size() && !averages_[device_type].empty(); }
  void forget(index device_type) {
    if (device_type < averages_.size())
      averages_[device_type] = {};
  }

  /// Milliseconds; `otherwise` when nothing of the sort has run yet.
  std::uint32_t expect(index work, index device_type, std::uint32_t otherwise) const {
    const auto* known = find(work, device_type);
    return known == nullptr ? otherwise : static_cast<std::uint32_t>(known->mean_ms + 0.5f);
  }

  /// Null when nothing of the sort has run yet.
  const average* find(index work, index device_type) const {
    if (device_type >= averages_.size() || work >= averages_[device_type].size())
      return nullptr;
    const auto& own = averages_[device_type][work];
    return own.samples == 0 ? nullptr : &own;
  }

  /// Calls visit(kind, model, device type, average) for what has run, while it returns true.
  template <class Visit>
  void for_each(Visit visit) const {
    for (index work = 0; work < names_.size(); ++work)
      for (index type = 0; type < averages_.size(); ++type)
        if (const auto* known = find(work, type);
            known != nullptr && !visit(names_[work].first, names_[work].second, type, *known))
          return;
  }

private:
  static constexpr std::size_t works_max = 100'000;

  static void take(float& mean, std::uint32_t& samples, float newest) {
    ++samples;
    mean += (newest - mean) / static_cast<float>(std::min(samples, 5u));
  }

  std::unordered_map<std::uint64_t, index> works_;
  std::vector<std::pair<index, index>> names_; // kind and model, by work
  std::vector<std::vector<average>> averages_; // by device type and work
};

} // namespace troupe::scheduling
