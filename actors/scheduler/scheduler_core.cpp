#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>

namespace troupe::scheduling {

namespace {

constexpr std::size_t name_bytes_max = 256;
constexpr std::size_t models_max = 10'000; // names are kept for good
constexpr std::size_t excluded_max = 64;
constexpr std::size_t held_max = 10'000;
constexpr std::size_t ended_max = 16'384; // attempts whose end is remembered
constexpr std::uint64_t attempt_max = UINT64_MAX / 2;

constexpr virtual_time as_virtual(std::int64_t ms) { return ms * 1000; }

} // namespace

scheduler_core::scheduler_core(limits bounds, std::uint32_t epoch)
  : limits_(bounds), attempts_(std::uint64_t{epoch} << 32),
    queue_(std::max(1u, bounds.in_flight_per_account), as_virtual(bounds.debt_max_ms)),
    devices_(std::max(1u, bounds.warm_models_max)), ended_(ended_max) {}

void scheduler_core::apply(const event& happened, timestamp now, std::vector<command>& out) {
  now_ = std::max(now, now_);
  out_ = &out;
  std::visit([this](const auto& e) { on(e); }, happened);
  // Each step may free or want something else, but each start makes the room smaller: this ends.
  while (!offered_.empty() || !woken_.empty()) {
    if (!offered_.empty()) {
      auto device = offered_.back();
      offered_.pop_back();
      offer(device);
    } else {
      auto bucket = woken_.back();
      woken_.pop_back();
      place(bucket);
    }
  }
  out_ = nullptr;
}

std::vector<command> scheduler_core::apply(const event& happened, timestamp now) {
  std::vector<command> out;
  apply(happened, now, out);
  return out;
}

// -- stages -----------------------------------------------------------------------------------------------------------

flat_index::hash scheduler_core::hash_of(const stage_record& stage) {
  return flat_index::hash_of({stage.job.data(), stage.job.size()}, stage.stage);
}

index scheduler_core::find(const stage_ref& ref) const {
  return by_ref_.find(flat_index::hash_of(ref.job.value, ref.stage), [&](index at) {
    const auto& stage = stages_[at];
    return stage.stage == ref.stage && std::ranges::equal(stage.job, ref.job.value);
  });
}

stage_ref scheduler_core::ref_of(const stage_record& stage) const {
  return {job_id{{stage.job.data(), stage.job.size()}}, stage.stage};
}

bool scheduler_core::sensible(const stage_request& request) const {
  const auto names = {&request.ref.job.value, &request.account.value, &request.kind};
  auto bad = [](const std::string* name) { return name->empty() || name->size() > name_bytes_max; };
  return std::none_of(names.begin(), names.end(), bad) && request.model.size() <= name_bytes_max &&
         request.excluded.size() <= excluded_max && request.weight > 0 && request.weight <= 1'000'000 &&
         request.attempt_base <= attempt_max &&
         (models_.size() < models_max || models_.find(request.model) != none || request.model.empty());
}

// True, with a `reject`, when the request is senseless or a line is full.
bool scheduler_core::refuse(const stage_request& request) {
  auto with = [&](const char* code, std::string reason, std::int64_t retry_after_ms = 0) {
    out_->push_back(reject{request.ref, code, std::move(reason), retry_after_ms});
    return true;
  };
  if (!sensible(request))
    return with("invalid", "the stage's request is not one that can be scheduled");
  if (waiting_ >= limits_.queue_max)
    return with("queue_full", "the queue is full: " + std::to_string(waiting_) + " stages wait", retry_after());
  auto account = queue_.find_account(request.account.value);
  if (account != none && queue_.account_at(account).waiting >= limits_.queue_per_account)
    return with("account_queue_full",
                "the account has " + std::to_string(limits_.queue_per_account) + " stages waiting, its limit",
                retry_after());
  return false;
}

// As long as one hundredth of the queue takes to drain, between a second and ten minutes.
std::int64_t scheduler_core::retry_after() const {
  auto drain = between_ends_ms_ * static_cast<double>(waiting_) / 100;
  return static_cast<std::int64_t>(std::clamp(drain, 1000.0, 600'000.0));
}

// Makes the stage's record, neither waiting nor running yet.
index scheduler_core::admit(const stage_request& request) {
  requirement wanted;
  wanted.kind = kinds_.number(request.kind);
  wanted.model = request.model.empty() ? none : models_.number(request.model);
  wanted.vram_mib = request.vram_mib;
  wanted.priority = request.priority;
  for (const auto& device : request.excluded)
    wanted.excluded.push_back(device.value);
  std::sort(wanted.excluded.begin(), wanted.excluded.end());
  wanted.excluded.erase(std::unique(wanted.excluded.begin(), wanted.excluded.end()), wanted.excluded.end());

  stage_record stage;
  stage.job.assign(request.ref.job.value.begin(), request.ref.job.value.end());
  stage.stage = request.ref.stage;
  stage.account = queue_.account(request.account.value, request.weight);
  stage.bucket = open_bucket(std::move(wanted));
  stage.estimate_ms = request.estimate_ms;
  stage.attempt = request.attempt_base;
  attempts_ = std::max(attempts_, request.attempt_base);
  auto hash = hash_of(stage);
  auto at = stages_.add(std::move(stage));
  by_ref_.insert(hash, at);
  if (!request.near.empty())
    near_[at] = {request.near.begin(),
                 request.near.begin() + static_cast<long>(std::min<std::size_t>(8, request.near.size()))};
  return at;
}

void scheduler_core::forget(index stage) {
  const auto& record = stages_[stage];
  by_ref_.erase(hash_of(record), stage);
  if (!near_.empty())
    near_.erase(stage);
  auto bucket = record.bucket;
  stages_.remove(stage);
  close_bucket_if_empty(bucket);
}

void scheduler_core::enqueue(index stage, bool front) {
  auto& record = stages_[stage];
  record.device = none;
  record.since = now_;
  queue_.push(stage, record.account, record.bucket, front, clock_of(record.bucket), now_);
  ++waiting_;
  ++waiting_in_[class_of(record.bucket)];
  woken_.push_back(record.bucket);
}

void scheduler_core::unqueue(index stage) {
  queue_.remove(stage);
  --waiting_;
  --waiting_in_[class_of(stages_[stage].bucket)];
}

// -- events: stages ---------------------------------------------------------------------------------------------------

void scheduler_core::on(const stage_queued& e) {
  auto known = find(e.stage.ref);
  if (known != none) {
    if (stages_[known].withdrawn)
      out_->push_back(reject{e.stage.ref, "stopping", "its withdrawn attempt has not ended yet", 1000});
    return;
  }
  if (!refuse(e.stage))
    enqueue(admit(e.stage), false);
}

void scheduler_core::on(const stage_withdrawn& e) {
  auto stage = find(e.ref);
  if (stage == none)
    return;
  auto& record = stages_[stage];
  if (record.device == none) {
    unqueue(stage);
    forget(stage);
  } else if (!record.withdrawn) {
    record.withdrawn = true;
    out_->push_back(stop{e.ref, device_id{devices_.at(record.device).id}, record.attempt});
  }
}

void scheduler_core::on(const stage_ended& e) {
  remember_end(e.attempt);
  auto device = devices_.find(e.device.value);
  claim(device, e.ref, e.attempt);
  auto stage = find(e.ref);
  if (stage == none || stages_[stage].attempt != e.attempt)
    return; // a late report of an attempt that was given up
  auto& record = stages_[stage];
  if (record.device == none) {
    if (record.lost) { // its device was thought lost, and had finished
      charge_late(record, e);
      unqueue(stage);
      forget(stage);
    }
    return;
  }
  if (record.device == device)
    settle(stage, e);
}

void scheduler_core::settle(index stage, const stage_ended& e) {
  auto& record = stages_[stage];
  auto at = record.device;
  auto& device = devices_.at(at);
  const auto& wanted = queue_.bucket_at(record.bucket).wanted;
  queue_.correct(record.account, record.bucket, charge_for(record, device, e.run_ms) - record.charged);
  if (e.how == outcome::ok && device.of_class != none)
    run_times_.learn(wanted.kind, wanted.model, devices_.class_at(device.of_class).type, e.run_ms);
  if (e.how == outcome::ok) {
    device.failed = 0;
    device.failures.clear();
    ++device.done;
  } else if (e.how == outcome::device_fault) {
    hold_against(at, record);
  }
  if (last_end_ != 0)
    between_ends_ms_ += (static_cast<double>(now_ - last_end_) - between_ends_ms_) / 50;
  last_end_ = now_;
  vacate(stage);
  forget(stage);
  offered_.push_back(at);
}

// That an attempt ended can be heard before that it goes on: the words come from its device and from its job.
void scheduler_core::remember_end(std::uint64_t attempt) { ended_.push_back(attempt); }

void scheduler_core::on(const stage_running& e) {
  claim(devices_.find(e.device.value), e.stage.ref, e.attempt);
  if (std::find(ended_.begin(), ended_.end(), e.attempt) != ended_.end())
    return;
  auto stage = find(e.stage.ref);
  if (stage != none) {
    auto& record = stages_[stage];
    auto same_place = record.device != none && devices_.at(record.device).id == e.device.value;
    if (record.attempt == e.attempt && same_place)
      return;
    // It waits: the attempt counts if it is the last one there was, or none was ever started here.
    if (record.device != none || e.attempt < record.attempt || e.attempt > attempts_) {
      out_->push_back(stop{e.stage.ref, e.device, e.attempt});
      return;
    }
    unqueue(stage);
  } else {
    if (e.attempt > attempts_ || e.device.empty() || !sensible(e.stage)) {
      out_->push_back(stop{e.stage.ref, e.device, e.attempt});
      return;
    }
    stage = admit(e.stage);
  }
  attach(stage, e.device, e.attempt);
}

// The stage is known, neither waiting nor running, and runs there already.
void scheduler_core::attach(index stage, const device_id& where, std::uint64_t attempt) {
  auto& record = stages_[stage];
  auto device = devices_.expect(where.value);
  auto& place = devices_.at(device);
  if (!place.up && place.running.empty())
    place.expected_since = now_;
  record.charged = charge_for(record, place, expected_ms(record, place));
  queue_.correct(record.account, record.bucket, record.charged);
  record.reattached = true;
  occupy(stage, device, attempt);
  place.overfull = place.slots_used > place.slots || place.vram_used > place.vram_mib;
  devices_.refresh(device);
}

// What a device that comes (back) says it runs. A number that was not given out yet is a lie, and not believed: else it
// would raise the numbers of all attempts to come.
void scheduler_core::take_back(index at, const std::vector<held_attempt>& held) {
  auto& device = devices_.at(at);
  device.unclaimed.clear();
  device.unclaimed_since = now_;
  for (std::size_t i = 0; i < std::min<std::size_t>(held.size(), held_max); ++i) {
    auto stage = find(held[i].ref);
    if (held[i].attempt > attempts_) {
      out_->push_back(stop{held[i].ref, device_id{device.id}, held[i].attempt});
    } else if (stage == none) {
      device.unclaimed.push_back(held[i]);
    } else if (stages_[stage].device == none && held[i].attempt >= stages_[stage].attempt) {
      unqueue(stage);
      attach(stage, device_id{device.id}, held[i].attempt);
    } else if (stages_[stage].device != at || stages_[stage].attempt != held[i].attempt) {
      out_->push_back(stop{held[i].ref, device_id{device.id}, held[i].attempt});
      device.unclaimed.push_back(held[i]);
    }
  }
}

// The attempt is accounted for now, or over.
void scheduler_core::claim(index at, const stage_ref& ref, std::uint64_t attempt) {
  if (at == none || devices_.at(at).unclaimed.empty())
    return;
  std::erase_if(devices_.at(at).unclaimed, [&](const auto& h) { return h.ref == ref && h.attempt == attempt; });
  offered_.push_back(at);
}

// -- events: devices --------------------------------------------------------------------------------------------------

void scheduler_core::on(const device_up& e) {
  if (e.device.empty() || e.device.value.size() > name_bytes_max)
    return;
  std::vector<index> kinds;
  for (const auto& kind : e.kinds)
    kinds.push_back(kinds_.number(kind));
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  auto device = devices_.expect(e.device.value);
  end_reservation(device);
  auto classes_before = devices_.classes().size();
  take_back(device, e.running);
  devices_.describe(device, e.node.value, types_.number(e.type), std::move(kinds), e.slots, e.vram_mib);
  if (devices_.classes().size() > classes_before) {
    auto& fresh = devices_.class_at(static_cast<index>(classes_before));
    for (index bucket = 0; bucket < queue_.buckets().end(); ++bucket)
      if (queue_.buckets().used(bucket) && fresh.offers(queue_.bucket_at(bucket).wanted.kind))
        fresh.buckets.push_back(bucket);
  }
  offered_.push_back(device);
}

void scheduler_core::on(const device_down& e) {
  auto device = devices_.find(e.device.value);
  if (device == none)
    return; // the node and the link may both report it
  lose(device);
  devices_.forget_if_empty(device);
}

void scheduler_core::on(const device_drain& e) {
  if (e.device.empty() || e.device.value.size() > name_bytes_max)
    return;
  auto device = devices_.expect(e.device.value); // it may be told before it joins
  end_reservation(device);
  devices_.at(device).draining = true;
  devices_.refresh(device);
}

void scheduler_core::on(const device_enable& e) {
  auto at = devices_.find(e.device.value);
  if (at == none)
    return;
  auto& device = devices_.at(at);
  device.draining = device.quarantined = false;
  device.failed = 0;
  device.failures.clear();
  devices_.refresh(at);
  if (device.up)
    offered_.push_back(at);
  else
    devices_.forget_if_empty(at);
}

// Three failures in a row, of two jobs or two models, are the device's fault and not the work's.
void scheduler_core::hold_against(index at, const stage_record& stage) {
  auto& device = devices_.at(at);
  ++device.failed;
  device.failures.push_back(
      {flat_index::hash_of({stage.job.data(), stage.job.size()}), queue_.bucket_at(stage.bucket).wanted.model});
  if (device.failures.size() > 16)
    device.failures.erase(device.failures.begin() + 1); // the first one stays, to differ from
  const auto& first = device.failures.front();
  auto differs = std::any_of(device.failures.begin(), device.failures.end(),
                             [&](const auto& f) { return f.job != first.job || f.model != first.model; });
  if (device.quarantined || device.failed < limits_.failures_to_quarantine || !differs)
    return;
  device.quarantined = true;
  device.quarantined_at = now_;
  end_reservation(at);
  devices_.refresh(at);
  out_->push_back(
      quarantined{device_id{device.id},
                  std::to_string(device.failed) + " stages in a row failed on it, of more than one job or model"});
}

void scheduler_core::lose(index at) {
  end_reservation(at);
  devices_.go_down(at);
  auto stranded = devices_.at(at).running;
  for (auto stage : stranded) {
    auto& record = stages_[stage];
    queue_.correct(record.account, record.bucket, -record.charged); // lost work costs nothing
    vacate(stage);
    if (record.withdrawn) {
      forget(stage);
    } else if (++record.losses > limits_.losses_max) {
      out_->push_back(reject{ref_of(record), "lost_too_often",
                             "the devices it ran on were lost " + std::to_string(record.losses) + " times", 0});
      forget(stage);
    } else {
      record.lost = true;
      out_->push_back(moved{ref_of(record), device_id{devices_.at(at).id}, record.attempt});
      enqueue(stage, true);
    }
  }
}

void scheduler_core::on(const tick&) {
  for (index at = 0; at < devices_.devices().end(); ++at) {
    if (!devices_.devices().used(at))
      continue;
    auto& device = devices_.at(at);
    if (device.quarantined && limits_.quarantine_ms > 0 && now_ - device.quarantined_at >= limits_.quarantine_ms) {
      device.quarantined = false; // device.failed stays: one more failure brings the quarantine back
      devices_.refresh(at);
      out_->push_back(released{device_id{device.id}});
      offered_.push_back(at);
    }
    if (!device.unclaimed.empty() && now_ - device.unclaimed_since >= limits_.reattach_ms) {
      device.unclaimed.clear(); // nobody wants them: whoever runs the node has been told to stop them
      offered_.push_back(at);
    }
    if (!device.up && !device.running.empty() && now_ - device.expected_since >= limits_.reattach_ms)
      lose(at);
    devices_.forget_if_empty(at);
  }
  queue_.forget_idle(now_ - limits_.account_memory_ms);
  reserve_for_starving();
}

} // namespace troupe::scheduling
