#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>

namespace troupe::scheduling {

void scheduler_core::check_invariants() const {
  queue_.check_invariants();
  devices_.check_invariants();
  check_stages();
  check_devices();
  check_nothing_startable_waits();
}

void scheduler_core::check_stages() const {
  std::size_t waiting = 0, running = 0;
  std::vector<std::uint32_t> started(queue_.accounts().end()), of_account(queue_.accounts().end());
  std::vector<std::uint32_t> of_bucket(queue_.buckets().end());
  for (index at = 0; at < stages_.end(); ++at) {
    if (!stages_.used(at))
      continue;
    const auto& stage = stages_[at];
    TROUPE_CHECK(find(ref_of(stage)) == at);
    TROUPE_CHECK(stage.attempt <= attempts_);
    if (stage.device == none) {
      ++waiting;
      TROUPE_CHECK(!stage.withdrawn);
      const auto& entry = queue_.entry_at(queue_.entry_of(at));
      TROUPE_CHECK(entry.account == stage.account && entry.bucket == stage.bucket);
      continue;
    }
    ++running;
    ++of_account[stage.account];
    ++of_bucket[stage.bucket];
    started[stage.account] += stage.reattached ? 0 : 1;
    TROUPE_CHECK(devices_.at(stage.device).running.at(stage.device_position) == at);
  }
  TROUPE_CHECK(waiting_in_[0] + waiting_in_[1] + waiting_in_[2] == waiting_);
  TROUPE_CHECK(waiting == waiting_ && running == running_ && by_ref_.size() == waiting + running);
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
    std::uint32_t vram = 0;
    for (auto stage : device.running) {
      TROUPE_CHECK(stages_[stage].device == at);
      vram += queue_.bucket_at(stages_[stage].bucket).wanted.vram_mib;
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
    for (auto c : classes_for(bucket))
      for (auto device : devices_.classes()[c].devices)
        TROUPE_CHECK(!may_run(devices_.at(device), bucket));
  }
}

bool scheduler_core::someone_may_start(index bucket) const {
  for (index at = 0; at < stages_.end(); ++at)
    if (stages_.used(at) && stages_[at].device == none && stages_[at].bucket == bucket &&
        !queue_.at_cap(stages_[at].account))
      return true;
  return false;
}

} // namespace troupe::scheduling
