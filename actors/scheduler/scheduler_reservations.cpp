#include "actors/scheduler/scheduler_core.hpp"

// Devices that are kept for a stage which needs much of one, and what else may use them meanwhile.

#include <algorithm>

namespace troupe::scheduling {

namespace {

// How sure one must be of run times before a stage uses what is kept for another.
constexpr std::uint8_t backfill_samples_min = 3;
constexpr double backfill_deviations = 4.0;

} // namespace

void scheduler_core::keep_for(index at, index bucket) {
  devices_.at(at).reserved_for = bucket;
  queue_.bucket_at(bucket).reserved = at;
  ++devices_.class_at(devices_.at(at).of_class).reservations;
  devices_.refresh(at);
}

void scheduler_core::end_reservation(index at) {
  auto& device = devices_.at(at);
  if (device.reserved_for == none)
    return;
  queue_.bucket_at(device.reserved_for).reserved = none;
  device.reserved_for = none;
  --devices_.class_at(device.of_class).reservations;
  devices_.refresh(at);
  offered_.push_back(at);
}

// Small stages can keep a large one out for ever: they leave too little VRAM each time. The bucket that has been passed
// over longest gets a device of its own until it fits; at most one to a class of devices.
void scheduler_core::reserve_for_starving() {
  index starving = none;
  auto since = now_ - limits_.reserve_after_ms;
  for (index b = 0; b < queue_.buckets().end(); ++b) {
    if (!queue_.buckets().used(b))
      continue;
    const auto& bucket = queue_.bucket_at(b);
    if (bucket.passed_over == never || bucket.passed_over > since || bucket.reserved != none ||
        queue_.head(b) == none || could_reserve(b) == none)
      continue;
    starving = b;
    since = bucket.passed_over - 1;
  }
  if (starving == none)
    return;
  keep_for(could_reserve(starving), starving);
}

// Another stage may use what is kept for the bucket where that is not delayed (Lifka: "The ANL/IBM SP Scheduling
// System", JSSPP 1995, EASY backfilling): the two fit together, whichever of the others end first, or it has ended,
// even if it takes long, before enough of the others has, even if those take short. What is not known takes no time at
// all, or for ever.
bool scheduler_core::may_backfill(const device_record& device, index bucket) const {
  struct ending {
    timestamp at;
    std::uint32_t vram_mib;
  };
  boost::container::small_vector<ending, 8> endings;
  for (const auto& r : device.running) {
    const auto& run = running_[r.run];
    endings.push_back({ends_at_earliest(run), run.vram_mib});
  }
  std::sort(endings.begin(), endings.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  const auto wanted = vram_in(device.of_class, bucket), kept = vram_in(device.of_class, device.reserved_for);
  if (fit_together(device, kept, wanted))
    return true;
  auto slots = device.slots_free(), free = device.vram_free();
  auto begins = now_;
  for (auto next = endings.begin(); next != endings.end() && (slots == 0 || free < kept); ++next) {
    begins = next->at;
    free += next->vram_mib;
    ++slots;
  }
  const auto& record = queue_.bucket_at(bucket);
  const auto* known = run_times_.find(record.work, devices_.classes()[device.of_class].type);
  if (known == nullptr || known->samples < backfill_samples_min)
    return false;
  auto late = static_cast<double>(known->mean_ms) + backfill_deviations * static_cast<double>(known->deviation_ms) +
              static_cast<double>(known->transfer_ms) +
              (is_cold(device, record.wanted.model) ? load_ms(record.work, device) : 0);
  return now_ + static_cast<timestamp>(late) < begins;
}

// Whether there is room for both as soon as there is for the one, whichever of those that run have ended by then.
bool scheduler_core::fit_together(const device_record& device, std::uint32_t one, std::uint32_t other) const {
  constexpr std::size_t runs_max = 6; // of more, all sets are too many to look at
  const auto runs = device.running.size();
  for (std::size_t ended = 0; runs <= runs_max && ended < std::size_t{1} << runs; ++ended) {
    std::uint64_t free = device.vram_free(), slots = device.slots_free();
    for (std::size_t i = 0; i < runs; ++i)
      if ((ended >> i & 1) != 0) {
        free += running_[device.running[i].run].vram_mib;
        ++slots;
      }
    if (slots >= 1 && free >= one && (slots < 2 || free < std::uint64_t{one} + other))
      return false;
  }
  return runs <= runs_max;
}

timestamp scheduler_core::ends_at_earliest(const running_record& run) const {
  auto of_class = devices_.at(run.device).of_class;
  const auto* known = run.stage == none || run.withdrawn || run.preempted || of_class == none
                          ? nullptr
                          : run_times_.find(queue_.bucket_at(run.bucket).work, devices_.classes()[of_class].type);
  if (known == nullptr || known->samples < backfill_samples_min)
    return now_;
  auto early = static_cast<double>(known->mean_ms) - backfill_deviations * static_cast<double>(known->deviation_ms);
  return std::max(now_, run.since + static_cast<timestamp>(std::max(0.0, early)));
}

// The emptiest device that could run the bucket's stages when it has room.
index scheduler_core::could_reserve(index bucket) const {
  const auto& wanted = queue_.bucket_at(bucket).wanted;
  index best = none;
  for (index of_class = 0; of_class < devices_.classes().size(); ++of_class) {
    const auto& c = devices_.classes()[of_class];
    if (c.reservations > 0 || !c.offers(wanted.kind))
      continue;
    const auto vram_mib = vram_in(of_class, bucket);
    for (auto at : c.devices) {
      const auto& device = devices_.at(at);
      if (device.takes_work() && device.vram_mib >= vram_mib && !is_excluded(wanted, device) && device.slots > 0 &&
          (best == none || device.running.size() < devices_.at(best).running.size()))
        best = at;
    }
  }
  return best;
}

} // namespace troupe::scheduling
