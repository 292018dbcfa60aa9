#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>

namespace troupe::scheduling {

void scheduler_core::check_invariants() const {
  queue_.check_invariants();
  devices_.check_invariants();
  check_stages();
  check_devices();
  check_offers();
  check_nothing_startable_waits();
}

// What is told of why a stage waits comes from counts: here all devices are looked at.
void scheduler_core::check_offers() const {
  for (index bucket = 0; bucket < queue_.buckets().end(); ++bucket) {
    if (!queue_.buckets().used(bucket))
      continue;
    const auto& wanted = queue_.bucket_at(bucket).wanted;
    offer_count n;
    for (auto c : classes_for(wanted.kind))
      for (auto at : devices_.classes()[c].devices) {
        const auto& device = devices_.at(at);
        auto how = device.stands();
        if (!how)
          continue;
        ++n.up;
        n.largest_mib = std::max(n.largest_mib, device.vram_mib);
        auto is_small = device.vram_mib < vram_in(c, bucket);
        n.too_small += is_small;
        n.excluded += !is_small && is_excluded(wanted, device);
        if (!is_small && !is_excluded(wanted, device))
          ++n.large_enough[static_cast<std::size_t>(device.reserved_for == bucket ? standing::open : *how)];
      }
    TROUPE_CHECK(n == offer_for(wanted, bucket));
  }
}

void scheduler_core::check_stages() const {
  std::size_t waiting = 0, named = 0;
  std::vector<std::uint32_t> started(queue_.accounts().end()), of_account(queue_.accounts().end());
  std::vector<std::uint32_t> of_bucket(queue_.buckets().end());
  const auto& stages = queue_.stages();
  for (index at = 0; at < stages.end(); ++at) {
    if (!stages.used(at))
      continue;
    const auto& stage = stages[at];
    TROUPE_CHECK(find(ref_of(stage)) == at);
    TROUPE_CHECK(stage.attempt <= attempts_);
    if (!stage.runs) {
      ++waiting;
      TROUPE_CHECK(line_of(stage).count > 0);
      continue;
    }
    TROUPE_CHECK(running_.used(stage.where));
    const auto& run = running_[stage.where];
    TROUPE_CHECK(run.stage == at && run.attempt == stage.attempt);
    ++named;
  }
  for (index at = 0; at < running_.end(); ++at) {
    if (!running_.used(at))
      continue;
    const auto& run = running_[at];
    ++of_account[run.account];
    ++of_bucket[run.bucket];
    started[run.account] += run.reattached ? 0 : 1;
    TROUPE_CHECK(find_run(run.device, run.attempt) == at);
    if (run.twin == none) {
      TROUPE_CHECK(run.stage == none || stages[run.stage].where == at);
      continue;
    }
    TROUPE_CHECK(running_.used(run.twin) && running_[run.twin].twin == at && running_[run.twin].stage == run.stage);
    TROUPE_CHECK(stages[run.stage].may_run_twice && running_[run.twin].device != run.device);
  }
  TROUPE_CHECK(waiting_in_[0] + waiting_in_[1] + waiting_in_[2] == waiting_);
  TROUPE_CHECK(waiting == waiting_ && by_ref_.size() == waiting + named);
  for (index at = 0; at < queue_.accounts().end(); ++at) {
    if (!queue_.accounts().used(at))
      continue;
    TROUPE_CHECK(queue_.account_at(at).running == of_account[at]);
    TROUPE_CHECK(started[at] <= std::max(1u, limits_.in_flight_per_account));
  }
  for (index at = 0; at < queue_.buckets().end(); ++at)
    if (queue_.buckets().used(at))
      TROUPE_CHECK(queue_.bucket_at(at).running == of_bucket[at]);
}

void scheduler_core::check_devices() const {
  for (index at = 0; at < devices_.devices().end(); ++at) {
    if (!devices_.devices().used(at))
      continue;
    const auto& device = devices_.at(at);
    std::uint64_t vram = 0;
    for (const auto& r : device.running) {
      TROUPE_CHECK(running_[r.run].device == at && running_[r.run].attempt == r.attempt);
      vram += running_[r.run].vram_mib;
    }
    TROUPE_CHECK(vram == device.vram_used);
    if (device.reserved_for != none)
      TROUPE_CHECK(device.takes_work() && queue_.bucket_at(device.reserved_for).reserved == at);
  }
}

void scheduler_core::check_nothing_startable_waits() const {
  for (index bucket = 0; bucket < queue_.buckets().end(); ++bucket) {
    if (!queue_.buckets().used(bucket) || !someone_may_start(bucket))
      continue;
    auto is_kept_for_another = [&](index device) {
      auto reserved_for = devices_.at(device).reserved_for;
      return reserved_for != none && reserved_for != bucket;
    };
    for (auto c : classes_for(queue_.bucket_at(bucket).wanted.kind))
      for (auto device : devices_.classes()[c].devices)
        TROUPE_CHECK(!may_run(devices_.at(device), bucket) || is_kept_for_another(device));
  }
}

bool scheduler_core::someone_may_start(index bucket) const {
  const auto& stages = queue_.stages();
  for (index at = 0; at < stages.end(); ++at)
    if (stages.used(at) && !stages[at].runs && line_of(stages[at]).bucket == bucket &&
        !queue_.at_cap(line_of(stages[at]).account))
      return true;
  return false;
}

} // namespace troupe::scheduling
