#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>

namespace troupe::scheduling {

namespace {

// How far a class runs ahead of or behind its account's turn: it shifts when, never how much.
virtual_time shift_of(priority_class priority, const limits& bounds) {
  switch (priority) {
    case priority_class::interactive: return -bounds.interactive_lead_ms * 1000;
    case priority_class::preemptible: return bounds.preemptible_lag_ms * 1000;
    case priority_class::standard: break;
  }
  return 0;
}

} // namespace

// -- buckets ----------------------------------------------------------------------------------------------------------

index scheduler_core::open_bucket(requirement wanted) {
  auto bucket = queue_.find_bucket(wanted);
  if (bucket != none)
    return bucket;
  auto kind = wanted.kind;
  bucket = queue_.add_bucket(std::move(wanted));
  for (index c = 0; c < devices_.classes().size(); ++c)
    if (devices_.classes()[c].offers(kind))
      devices_.class_at(c).buckets.push_back(bucket);
  return bucket;
}

void scheduler_core::close_bucket_if_empty(index bucket) {
  const auto& record = queue_.bucket_at(bucket);
  if (record.waiting > 0 || record.running > 0)
    return;
  if (record.reserved != none)
    end_reservation(record.reserved);
  for (index c = 0; c < devices_.classes().size(); ++c) {
    auto& buckets = devices_.class_at(c).buckets;
    auto known = std::find(buckets.begin(), buckets.end(), bucket);
    if (known != buckets.end()) {
      *known = buckets.back();
      buckets.pop_back();
    }
  }
  queue_.remove_bucket(bucket);
}

// A bucket's virtual time is that of the devices it competes for, the furthest of them.
virtual_time scheduler_core::clock_of(index bucket) const {
  const auto& record = queue_.bucket_at(bucket);
  auto clock = record.clock;
  for (const auto& c : devices_.classes())
    if (c.offers(record.wanted.kind))
      clock = std::max(clock, c.clock);
  return clock;
}

// -- cost -------------------------------------------------------------------------------------------------------------

std::uint32_t scheduler_core::expected_ms(const stage_record& stage, const device_record& device) const {
  if (device.of_class == none)
    return stage.estimate_ms;
  const auto& wanted = queue_.bucket_at(stage.bucket).wanted;
  return run_times_.expect(wanted.kind, wanted.model, devices_.classes()[device.of_class].type, stage.estimate_ms);
}

// Device time × the share of the device it keeps from others (of its VRAM or its slots, whichever is more), by weight.
virtual_time scheduler_core::charge_for(const stage_record& stage, const device_record& device,
                                        std::uint32_t run_ms) const {
  auto vram = queue_.bucket_at(stage.bucket).wanted.vram_mib;
  auto share = device.slots > 0 ? 1.0 / device.slots : 1.0;
  if (device.vram_mib > 0)
    share = std::max(share, std::min(1.0, static_cast<double>(vram) / device.vram_mib));
  auto cost = std::max(1u, run_ms) * 1000.0 * share / queue_.account_at(stage.account).weight;
  return std::max<virtual_time>(1, static_cast<virtual_time>(cost));
}

void scheduler_core::charge_late(const stage_record& stage, const stage_ended& e) {
  auto device = devices_.find(e.device.value);
  queue_.correct(stage.account, stage.bucket,
                 charge_for(stage, device == none ? device_record{} : devices_.at(device), e.run_ms));
}

// -- a device has room ------------------------------------------------------------------------------------------------

bool scheduler_core::may_run(const device_record& device, index bucket) const {
  const auto& wanted = queue_.bucket_at(bucket).wanted;
  return device.takes_work() && device.fits(wanted.vram_mib) &&
         (device.reserved_for == none || device.reserved_for == bucket) &&
         (wanted.excluded.empty() || !std::binary_search(wanted.excluded.begin(), wanted.excluded.end(), device.id));
}

// Fills the device: the account whose turn it is, over all buckets that the device can serve.
void scheduler_core::offer(index at) {
  if (!devices_.devices().used(at))
    return;
  while (devices_.at(at).takes_work() && devices_.at(at).slots_free() > 0) {
    const auto& device = devices_.at(at);
    if (device.reserved_for != none && queue_.head(device.reserved_for) == none)
      end_reservation(at);
    index entry = none;
    if (limits_.aging_period > 0 && (starts_ + 1) % limits_.aging_period == 0)
      entry = choose_aged(device);
    if (auto in_want = class_in_want(devices_.class_at(device.of_class)); in_want && entry == none)
      entry = choose_entry(device, in_want);
    if (entry == none)
      entry = choose_entry(device, std::nullopt);
    if (entry == none)
      break;
    begin(entry, at);
  }
  devices_.refresh(at);
}

std::size_t scheduler_core::class_of(index bucket) const {
  return static_cast<std::size_t>(queue_.bucket_at(bucket).wanted.priority);
}

// The class that is furthest below what it is to get at least, by a stage's time or more; none when there is none, or
// nothing of it waits.
std::optional<priority_class> scheduler_core::class_in_want(const device_class& own) const {
  auto all = own.recent_ms[0] + own.recent_ms[1] + own.recent_ms[2];
  std::optional<priority_class> out;
  if (own.recent_starts == 0)
    return out;
  auto most = all / own.recent_starts;
  for (std::size_t which = 0; which < waiting_in_.size(); ++which) {
    auto missing = limits_.class_shares_min[which] * all - own.recent_ms[which];
    if (waiting_in_[which] == 0 || waiting_in_[which] == waiting_ || missing < most)
      continue;
    out = static_cast<priority_class>(which);
    most = missing;
  }
  return out;
}

void scheduler_core::note_use(device_class& own, std::size_t which, std::uint32_t run_ms) {
  constexpr std::uint32_t halved_at = 512;
  own.recent_ms[which] += run_ms;
  if (++own.recent_starts < halved_at)
    return;
  own.recent_starts /= 2;
  for (auto& use : own.recent_ms)
    use /= 2;
}

// `only`: of that class, or none.
index scheduler_core::choose_entry(const device_record& device, std::optional<priority_class> only) {
  // To know what comes first in a bucket costs more than to know what it cannot come before: the most promising bucket
  // is looked into first, and nearly all others then need not be.
  candidates_.clear();
  for (auto bucket : devices_.class_at(device.of_class).buckets) {
    const auto& record = queue_.bucket_at(bucket);
    if (record.turns.empty() || (only && record.wanted.priority != *only) || !may_run(device, bucket))
      continue;
    auto shift = shift_of(record.wanted.priority, limits_);
    if (devices_.is_warm(device, record.wanted.model))
      shift -= limits_.warm_lead_ms * 1000;
    candidates_.push_back({record.turns.bound() + shift, shift, bucket});
    if (candidates_.back().bound < candidates_.front().bound)
      std::swap(candidates_.back(), candidates_.front());
  }
  index best = none;
  virtual_time best_key = 0;
  std::uint64_t best_order = 0;
  for (const auto& c : candidates_) {
    if (best != none && c.bound > best_key)
      continue;
    auto entry = queue_.head(c.bucket);
    if (entry == none)
      continue;
    const auto& top = queue_.bucket_at(c.bucket).turns.first();
    auto key = top.key + c.shift;
    if (best == none || key < best_key || (key == best_key && top.order < best_order)) {
      best = entry;
      best_key = key;
      best_order = top.order;
    }
  }
  return best;
}

// The account that has waited longest, if that is too long; none otherwise.
index scheduler_core::choose_aged(const device_record& device) {
  index best = none;
  auto best_since = now_ - limits_.aging_after_ms;
  for (auto bucket : devices_.class_at(device.of_class).buckets) {
    if (queue_.bucket_at(bucket).turns.empty() || !may_run(device, bucket))
      continue;
    auto entry = queue_.oldest(bucket);
    if (entry != none && queue_.entry_at(entry).since <= best_since) {
      best = entry;
      best_since = queue_.entry_at(entry).since - 1;
    }
  }
  return best;
}

// -- a stage wants room -----------------------------------------------------------------------------------------------

// Starts what the bucket holds while there are devices for it.
void scheduler_core::place(index bucket) {
  if (!queue_.buckets().used(bucket))
    return;
  for (auto entry = queue_.head(bucket); entry != none; entry = queue_.head(bucket)) {
    auto device = choose_device(bucket, queue_.entry_at(entry).first);
    if (device == none)
      return;
    begin(entry, device);
    devices_.refresh(device);
  }
}

// A warm model, then a node that has the inputs, then the tightest fit, then the least loaded.
index scheduler_core::choose_device(index bucket, index stage) const {
  constexpr int looks = 16; // a preference is not worth a long search
  const auto& record = queue_.bucket_at(bucket);
  const auto& wanted = record.wanted;
  auto near = near_.find(stage);
  using rank = std::tuple<bool, bool, room_key>;
  index best = none;
  rank best_rank;
  auto consider = [&](index at) {
    const auto& device = devices_.at(at);
    if (device.of_class == none || !devices_.classes()[device.of_class].offers(wanted.kind) || !may_run(device, bucket))
      return false;
    auto is_near = near != near_.end() && std::any_of(near->second.begin(), near->second.end(),
                                                      [&](auto& n) { return n.value == device.node; });
    auto own =
        rank{!devices_.is_warm(device, wanted.model), !is_near, room_key{device.vram_free(), device.slots_used, at}};
    if (best == none || own < best_rank) {
      best = at;
      best_rank = own;
    }
    return true;
  };
  auto from = room_key{wanted.vram_mib, 0, 0};
  if (record.reserved != none)
    consider(record.reserved);
  if (const auto* warm = wanted.model == none ? nullptr : devices_.warm_room(wanted.model)) {
    auto left = looks;
    for (auto at = warm->lower_bound(from); at != warm->end() && left > 0; ++at, --left)
      consider(std::get<2>(*at));
  }
  if (near != near_.end())
    for (const auto& node : near->second) {
      auto left = looks;
      for (auto at : devices_.devices_of_node(node.value))
        if (left-- > 0)
          consider(at);
    }
  for (const auto& c : devices_.classes()) {
    if (!c.offers(wanted.kind))
      continue;
    auto at = c.room.lower_bound(from);
    while (at != c.room.end() && !consider(std::get<2>(*at)))
      ++at; // only excluded devices are passed over, and they are few
  }
  return best;
}

// -- what a start changes ---------------------------------------------------------------------------------------------

void scheduler_core::begin(index entry, index at) {
  auto stage = queue_.entry_at(entry).first;
  auto& record = stages_[stage];
  auto& device = devices_.at(at);
  auto& own = devices_.class_at(device.of_class);
  own.clock = std::max(own.clock, queue_.key_of(entry));
  record.charged = charge_for(record, device, expected_ms(record, device));
  note_use(own, class_of(record.bucket), expected_ms(record, device));
  queue_.serve(entry, record.charged, now_);
  --waiting_;
  --waiting_in_[class_of(record.bucket)];
  ++starts_;
  occupy(stage, at, ++attempts_);
  auto reserved = queue_.bucket_at(record.bucket).reserved;
  if (reserved != none)
    end_reservation(reserved);
  out_->push_back(start{ref_of(record), device_id{device.id}, record.attempt});
}

void scheduler_core::occupy(index stage, index at, std::uint64_t attempt) {
  auto& record = stages_[stage];
  auto& bucket = queue_.bucket_at(record.bucket);
  auto& device = devices_.at(at);
  record.attempt = attempt;
  record.device = at;
  record.since = now_;
  record.lost = false;
  record.device_position = static_cast<std::uint32_t>(device.running.size());
  device.running.push_back(stage);
  devices_.occupy(at, bucket.wanted.vram_mib);
  devices_.warm(at, bucket.wanted.model, bucket.wanted.vram_mib);
  queue_.started(record.account);
  ++bucket.running;
  ++running_;
}

// The caller refreshes or offers the device.
void scheduler_core::vacate(index stage) {
  auto& record = stages_[stage];
  auto& bucket = queue_.bucket_at(record.bucket);
  auto& device = devices_.at(record.device);
  auto last = device.running.back();
  device.running[record.device_position] = last;
  stages_[last].device_position = record.device_position;
  device.running.pop_back();
  devices_.vacate(record.device, bucket.wanted.vram_mib);
  --bucket.running;
  --running_;
  record.device = none;
  record.reattached = false;
  if (queue_.ended(record.account, now_))
    queue_.unpark(record.account, now_, woken_);
}

// -- reservations -----------------------------------------------------------------------------------------------------

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

// Small stages can keep a large one out for ever: they leave too little VRAM each time. The bucket that has starved
// longest gets a device of its own until it fits; at most one to a class of devices.
void scheduler_core::reserve_for_starving() {
  index starving = none;
  auto since = now_ - limits_.reserve_after_ms;
  for (index b = 0; b < queue_.buckets().end(); ++b) {
    if (!queue_.buckets().used(b) || queue_.bucket_at(b).wanted.vram_mib == 0 || queue_.bucket_at(b).reserved != none)
      continue;
    auto entry = queue_.oldest(b);
    if (entry != none && queue_.entry_at(entry).since <= since && could_reserve(b) != none) {
      starving = b;
      since = queue_.entry_at(entry).since - 1;
    }
  }
  if (starving == none)
    return;
  auto at = could_reserve(starving);
  devices_.at(at).reserved_for = starving;
  queue_.bucket_at(starving).reserved = at;
  ++devices_.class_at(devices_.at(at).of_class).reservations;
  devices_.refresh(at);
}

// The emptiest device that could run the bucket's stages when it has room.
index scheduler_core::could_reserve(index bucket) const {
  const auto& wanted = queue_.bucket_at(bucket).wanted;
  index best = none;
  for (const auto& c : devices_.classes()) {
    if (c.reservations > 0 || !c.offers(wanted.kind))
      continue;
    for (auto at : c.devices) {
      const auto& device = devices_.at(at);
      auto excluded = std::binary_search(wanted.excluded.begin(), wanted.excluded.end(), device.id);
      if (device.takes_work() && device.vram_mib >= wanted.vram_mib && !excluded && device.slots > 0 &&
          (best == none || device.running.size() < devices_.at(best).running.size()))
        best = at;
    }
  }
  return best;
}

} // namespace troupe::scheduling
