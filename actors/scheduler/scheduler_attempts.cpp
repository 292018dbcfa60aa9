#include "actors/scheduler/scheduler_core.hpp"

// Attempts that are stopped for others, and attempts beside others. Both are looked for when time passes: there are few
// reasons for either, and a decision must not wait for them.

#include <algorithm>

namespace troupe::scheduling {

std::vector<std::uint32_t> scheduler_core::attempts_by_class(bool (*counts)(const running_record&,
                                                                            priority_class)) const {
  std::vector<std::uint32_t> out(devices_.classes().size());
  for (index at = 0; at < running_.end(); ++at) {
    if (!running_.used(at))
      continue;
    const auto& run = running_[at];
    auto of_class = devices_.at(run.device).of_class;
    if (of_class != none && counts(run, queue_.front_of(run.bucket).priority))
      ++out[of_class];
  }
  return out;
}

// -- preemption -------------------------------------------------------------------------------------------------------

// A stage that is not preemptible and waits too long stops one that is, where those hold more than their class's share.
//
// There is no cycle, and it ends:
//  * let a stage "stop for" another where it loses its device to it. Stopped for are only stages of the classes
//    interactive and standard (the loop below passes the others over), and stopped only those of the class preemptible
//    (choose_victim). A stage's class never changes. So along "stops for" the class goes from preemptible to another
//    and never back: no chain is longer than one step, and none returns to where it began;
//  * what is stopped waits again as what it was, preemptible, and so stops nothing;
//  * the room is kept (reserved) for the bucket that it was made for: the stopped stage gets it back only where that
//    bucket waits no more, or is not delayed (may_backfill). And a bucket that has room kept gets no more made;
//  * each stage is stopped at most preemptions_max times, so there are at most that many stops for each stage that ever
//    came, whatever else happens.
void scheduler_core::preempt() {
  constexpr int tries_max = 16; // each looks at what runs; the next tick goes on from there
  auto waits = waiting_ - waiting_in_[static_cast<std::size_t>(priority_class::preemptible)];
  if (waits == 0 || running_.size() == 0)
    return;
  auto held = attempts_by_class([](const running_record& run, priority_class priority) {
    return priority == priority_class::preemptible && run.stage != none && !run.preempted && !run.withdrawn;
  });
  if (std::all_of(held.begin(), held.end(), [](auto count) { return count == 0; }))
    return;
  int tries = 0;
  const auto buckets = queue_.buckets().end();
  for (index looked = 0; looked < buckets && tries < tries_max; ++looked) {
    const auto bucket = preempt_for_;
    preempt_for_ = (bucket + 1) % buckets;
    if (!queue_.buckets().used(bucket) || queue_.front_of(bucket).empty ||
        queue_.front_of(bucket).priority == priority_class::preemptible || queue_.bucket_at(bucket).reserved != none ||
        queue_.oldest(bucket, now_ - limits_.preempt_after_ms) == none)
      continue;
    ++tries;
    auto victim = choose_victim(bucket, held);
    if (victim == none)
      continue;
    --held[devices_.at(running_[victim].device).of_class];
    preempt(victim, bucket);
  }
}

// Of those after whose end the bucket's stages fit, the one that has run shortest: least is lost.
index scheduler_core::choose_victim(index bucket, const std::vector<std::uint32_t>& preemptible) const {
  const auto& wanted = queue_.bucket_at(bucket).wanted;
  auto share = limits_.class_shares_min[static_cast<std::size_t>(priority_class::preemptible)];
  index best = none;
  for (index at = 0; at < running_.end(); ++at) {
    if (!running_.used(at))
      continue;
    const auto& run = running_[at];
    if (queue_.front_of(run.bucket).priority != priority_class::preemptible || run.stage == none || run.withdrawn ||
        run.preempted || run.twin != none || now_ - run.since < limits_.preempt_run_min_ms)
      continue;
    const auto& device = devices_.at(run.device);
    if (device.of_class == none || !device.takes_work() || device.reserved_for != none || device.overfull ||
        device.vram_free() + run.vram_mib < vram_in(device.of_class, bucket) ||
        std::binary_search(wanted.excluded.begin(), wanted.excluded.end(), device.id))
      continue;
    const auto& own = devices_.classes()[device.of_class];
    if (!own.offers(wanted.kind) || preemptible[device.of_class] <= share * own.slots_up)
      continue;
    if (best != none && running_[best].since >= run.since)
      continue;
    auto before = preempted_.find(ref_of(stage_at(run.stage)));
    if ((before == preempted_.end() ? 0 : before->second.count) < limits_.preemptions_max)
      best = at;
  }
  return best;
}

void scheduler_core::preempt(index at, index bucket) {
  constexpr std::size_t remembered_max = 10'000;
  auto& run = running_[at];
  auto ref = ref_of(stage_at(run.stage));
  if (preempted_.size() >= remembered_max && !preempted_.contains(ref))
    return;
  auto& known = preempted_[ref];
  ++known.count;
  known.last = now_;
  known.attempt = run.attempt;
  run.preempted = true;
  keep_for(run.device, bucket);
  out_->push_back(stop{std::move(ref), device_id{devices_.at(run.device).id}, run.attempt});
}

// A job that was cancelled meanwhile does not bring its stage again.
void scheduler_core::forget_preemptions() {
  std::erase_if(preempted_, [this](const auto& known) {
    return now_ - known.second.last > limits_.account_memory_ms && find(known.first) == none;
  });
}

// -- stragglers -------------------------------------------------------------------------------------------------------

// Some attempts take far longer than others of their kind, for reasons of their machine. Where the stage allows it and
// a device has nothing else to do, another attempt is started beside such a one, and the first result counts (Dean,
// Ghemawat: "MapReduce", OSDI 2004, 3.6, backup tasks; Dean, Barroso: "The Tail at Scale", CACM 2013, hedged requests).
// At most a tenth of the slots are used so (Zaharia and others: "Improving MapReduce Performance in Heterogeneous
// Environments", OSDI 2008, SpeculativeCap).
void scheduler_core::double_stragglers() {
  std::vector<std::uint32_t> seconds;
  for (index at = 0; at < running_.end(); ++at) {
    if (!running_.used(at) || !running_[at].may_run_twice || !is_straggler(running_[at]))
      continue;
    if (seconds.empty())
      seconds = attempts_by_class([](const running_record& run, priority_class) { return run.second; });
    auto device = idle_device(running_[at], seconds);
    if (device == none)
      continue;
    ++seconds[devices_.at(device).of_class];
    start_second(at, device);
  }
}

bool scheduler_core::is_straggler(const running_record& run) const {
  constexpr std::uint32_t samples_min = 3;
  auto of_class = devices_.at(run.device).of_class;
  if (run.stage == none || run.twin != none || run.doubled || run.second || run.withdrawn || run.preempted ||
      of_class == none)
    return false;
  const auto* known = run_times_.find(queue_.bucket_at(run.bucket).work, devices_.classes()[of_class].type);
  // What has not been measured of its like may be what it takes.
  if (known == nullptr || known->samples < samples_min || (run.cold && known->loads == 0) ||
      (run.far && known->transfers == 0))
    return false;
  auto usual =
      static_cast<double>(known->mean_ms) + (run.cold ? known->load_ms : 0) + (run.far ? known->transfer_ms : 0);
  auto late = std::max(limits_.straggler_factor * usual, usual + limits_.straggler_deviations * known->deviation_ms);
  return static_cast<double>(now_ - run.since) > std::max(late, static_cast<double>(limits_.straggler_run_min_ms));
}

// The stage may have been begun when there were only devices that had failed it.
bool scheduler_core::has_failed_on(const device_record& device, index stage) const {
  auto known = choosy_.find(stage);
  if (known == choosy_.end())
    return false;
  auto is_in = [&](const std::vector<device_id>& all) {
    return std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.value == device.id; });
  };
  return is_in(known->second.excluded) || is_in(known->second.outgrown);
}

// One with nothing on it, of a class for which nothing waits.
index scheduler_core::idle_device(const running_record& beside, const std::vector<std::uint32_t>& seconds) const {
  constexpr int looks = 16;
  if (queue_.at_cap(beside.account))
    return none;
  const auto& wanted = queue_.bucket_at(beside.bucket).wanted;
  for (index c = 0; c < devices_.classes().size(); ++c) {
    const auto& own = devices_.classes()[c];
    auto most = std::max(1u, static_cast<std::uint32_t>(limits_.stragglers_share_max * own.slots_up));
    auto awaited = std::any_of(own.buckets.begin(), own.buckets.end(),
                               [&](index bucket) { return queue_.bucket_at(bucket).waiting > 0; });
    if (!own.offers(wanted.kind) || awaited || seconds[c] >= most)
      continue;
    auto left = looks;
    for (auto at = own.room.lower_bound({vram_in(c, beside.bucket), 0, 0}); at != own.room.end() && left > 0;
         ++at, --left) {
      auto at_device = std::get<2>(*at);
      const auto& device = devices_.at(at_device);
      if (at_device != beside.device && device.slots_used == 0 && may_run(device, beside.bucket) &&
          !has_failed_on(device, beside.stage))
        return at_device;
    }
  }
  return none;
}

void scheduler_core::start_second(index first, index device) {
  auto beside = running_[first];
  auto cold = is_cold(devices_.at(device), queue_.front_of(beside.bucket).model);
  auto far = is_far(beside.stage, devices_.at(device));
  auto second = occupy({beside.stage, beside.account, beside.bucket}, device, ++attempts_);
  auto& run = running_[second];
  run.second = true;
  run.cold = cold;
  run.far = far;
  run.twin = first;
  running_[first].twin = second;
  running_[first].doubled = true;
  ++starts_;
  devices_.refresh(device);
  const auto& on = devices_.at(device);
  out_->push_back(start{ref_of(stage_at(beside.stage)), device_id{on.id}, run.attempt, true, on.session});
}

std::optional<start> scheduler_core::second_at(const stage_ref& ref) const {
  auto stage = find(ref);
  if (stage == none || !stage_at(stage).runs)
    return std::nullopt;
  const auto& run = running_[stage_at(stage).where];
  if (run.twin == none)
    return std::nullopt;
  const auto& other = running_[run.twin];
  return start{ref, device_id{devices_.at(other.device).id}, other.attempt, true};
}

} // namespace troupe::scheduling
