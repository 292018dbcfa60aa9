#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>

namespace troupe::scheduling {

namespace {

constexpr std::size_t models_max = 10'000; // names are kept for good
constexpr std::size_t excluded_max = 64;
constexpr std::size_t choosy_max = 1'000; // stages of which each may exclude devices of its own
constexpr std::size_t held_max = 10'000;
constexpr index ended_max = 16'384; // attempts whose end is remembered
constexpr int asked_anew_max = 100; // stages, each tick
constexpr std::uint64_t attempt_max = UINT64_MAX / 2;

} // namespace

scheduler_core::scheduler_core(limits bounds, std::uint32_t epoch)
  : limits_(bounds), attempts_(std::uint64_t{epoch} << 32), queue_(std::max(1u, bounds.in_flight_per_account)),
    devices_(std::max(1u, bounds.warm_models_max)), ended_(ended_max) {}

void scheduler_core::apply(const event& happened, timestamp now, std::vector<command>& out) {
  now_ = std::max(now, now_);
  out_ = &out;
  const auto ran = running_.size() > 0;
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
  if (!ran && running_.size() > 0)
    silent_since_ = now_;
  out_ = nullptr;
}

std::vector<command> scheduler_core::apply(const event& happened, timestamp now) {
  std::vector<command> out;
  apply(happened, now, out);
  return out;
}

// -- stages -----------------------------------------------------------------------------------------------------------

flat_index::hash scheduler_core::hash_of(const stage_record& stage) {
  return flat_index::hash_of(stage.job.view(), stage.stage);
}

bool scheduler_core::is(const stage_record& stage, const stage_ref& ref) {
  return stage.stage == ref.stage && stage.job.view() == ref.job.value;
}

index scheduler_core::find(const stage_ref& ref) const {
  return by_ref_.find(flat_index::hash_of(ref.job.value, ref.stage), [&](index at) { return is(stage_at(at), ref); });
}

stage_ref scheduler_core::ref_of(const stage_record& stage) {
  return {job_id{std::string(stage.job.view())}, stage.stage};
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
  auto with = [&](std::string code, std::string reason, std::int64_t retry_after_ms = 0) {
    out_->push_back(reject{request.ref, std::move(code), std::move(reason), retry_after_ms});
    return true;
  };
  if (!sensible(request))
    return with("invalid", "the stage's request is not one that can be scheduled");
  if (auto full = would_refuse(request.account))
    return with(full->code, full->reason, full->retry_after_ms);
  return false;
}

std::optional<reject> scheduler_core::would_refuse(const account_id& account, std::size_t stages) const {
  // Who is refused waits until a hundredth of the line is gone, so that not all come back for the same place.
  auto over = [stages](std::size_t waiting, std::size_t limit) -> std::size_t {
    return waiting + stages <= limit ? 0 : std::max(waiting + stages - limit, limit / 100);
  };
  if (auto too_many = over(waiting_, limits_.queue_max); too_many > 0)
    return reject{{},
                  "queue_full",
                  "the queue is full: " + std::to_string(waiting_) + " stages wait",
                  time_to_drain(too_many, 1)};
  auto known = queue_.find_account(account.value);
  std::size_t waiting = known == none ? 0 : queue_.account_at(known).waiting;
  auto too_many = over(waiting, limits_.queue_per_account);
  if (too_many == 0)
    return std::nullopt;
  // Of what ends, its share is as large as of what runs.
  auto own = known == none ? 1u : std::max(1u, queue_.account_at(known).running);
  auto share = static_cast<double>(own) / static_cast<double>(std::max<std::size_t>(running_.size(), own));
  return reject{{},
                "account_queue_full",
                "the account has " + std::to_string(waiting) + " stages waiting; " +
                    std::to_string(limits_.queue_per_account) + " is its limit",
                time_to_drain(too_many, share)};
}

// How long until so many stages have ended, at the rate of the last fifty or so, while any ran; where none has ended
// for longer than that rate says, at the rate that this leaves. Between a second and an hour. Whoever asks while
// nothing runs is behind stages that wait in vain: where something could run them, the first would have begun.
std::int64_t scheduler_core::time_to_drain(std::size_t stages, double share) const {
  auto silent = silent_since_ == 0 ? 0.0 : static_cast<double>(now_ - silent_since_);
  auto each = std::max(between_ends_ms_, silent) / share;
  return static_cast<std::int64_t>(std::clamp(each * static_cast<double>(stages), 1000.0, 3'600'000.0));
}

requirement scheduler_core::wanted_by(const stage_request& request) {
  requirement out;
  out.kind = kinds_.number(request.kind);
  out.model = request.model.empty() ? none : models_.number(request.model);
  warm_on_.resize(models_.size());
  out.vram_mib = request.vram_mib;
  out.priority = request.priority;
  for (const auto& device : request.excluded)
    out.excluded.push_back(device.value);
  std::sort(out.excluded.begin(), out.excluded.end());
  out.excluded.erase(std::unique(out.excluded.begin(), out.excluded.end()), out.excluded.end());
  return out;
}

// A larger device than it failed on for want of memory, and another one than it failed on, while there are such. A
// device that failed it is better than none: how often it may be tried is its job's to count. Where very much fails,
// it is not this device or that; and each set of devices would be a bucket for every decision to look at.
requirement scheduler_core::wanted_now(const stage_request& request) {
  auto out = wanted_by(request);
  out.vram_mib = vram_beyond_outgrown(request);
  if (!out.excluded.empty() && (choosy_.size() > choosy_max || !is_offered_elsewhere(out)))
    out.excluded.clear();
  return out;
}

bool scheduler_core::is_offered_elsewhere(const requirement& wanted) const {
  auto [quarantined, draining, reattaching, reserved, open] = offer_for(wanted).large_enough;
  return reattaching + reserved + open > 0;
}

// More than the devices have on which the stage ran out of memory, where a device has that much; else what it asks for.
std::uint32_t scheduler_core::vram_beyond_outgrown(const stage_request& request) const {
  std::uint32_t had = 0;
  for (const auto& device : request.outgrown)
    if (auto at = devices_.find(device.value); at != none)
      had = std::max(had, devices_.at(at).vram_mib);
  requirement larger;
  larger.kind = kinds_.find(request.kind);
  larger.vram_mib = had + 1;
  return had > 0 && is_offered_elsewhere(larger) ? std::max(request.vram_mib, larger.vram_mib) : request.vram_mib;
}

// Devices have come or gone since stages were asked for that do not take any of them.
void scheduler_core::ask_anew() {
  for (int looked = 0; looked < asked_anew_max && !choosy_.empty(); ++looked) {
    auto next = choosy_.lower_bound(asked_anew_);
    if (next == choosy_.end()) {
      asked_anew_ = 0;
      return;
    }
    auto stage = next->first;
    asked_anew_ = stage + 1;
    if (stage_at(stage).runs)
      continue;
    auto wanted = wanted_now(next->second);
    if (wanted != queue_.bucket_at(line_of(stage_at(stage)).bucket).wanted)
      move_to(stage, std::move(wanted));
  }
}

void scheduler_core::move_to(index stage, requirement wanted) {
  auto account = line_of(stage_at(stage)).account;
  auto before = line_of(stage_at(stage)).bucket;
  unqueue(stage);
  enqueue(stage, account, open_bucket(std::move(wanted)), true);
  close_bucket_if_empty(before);
}

// Makes the stage's record, neither waiting nor running yet.
scheduler_core::admitted scheduler_core::admit(const stage_request& request, requirement wanted) {
  auto at = queue_.stages().add();
  auto& stage = stage_at(at);
  stage.job = short_name(request.ref.job.value);
  stage.stage = request.ref.stage;
  stage.estimate_ms = request.estimate_ms;
  stage.may_run_twice = request.may_run_twice;
  stage.attempt = request.attempt_base;
  attempts_ = std::max(attempts_, request.attempt_base);
  by_ref_.insert(hash_of(stage), at);
  if (!request.near.empty())
    near_[at] = {request.near.begin(),
                 request.near.begin() + static_cast<long>(std::min<std::size_t>(8, request.near.size()))};
  if (!request.excluded.empty() || !request.outgrown.empty())
    choosy_[at] = request;
  auto account = queue_.account(request.account.value, request.weight);
  return {at, account, open_bucket(std::move(wanted))};
}

void scheduler_core::forget(index stage, index bucket) {
  by_ref_.erase(hash_of(stage_at(stage)), stage);
  if (!near_.empty())
    near_.erase(stage);
  if (!choosy_.empty())
    choosy_.erase(stage);
  queue_.stages().remove(stage);
  close_bucket_if_empty(bucket);
}

void scheduler_core::enqueue(index stage, index account, index bucket, bool front) {
  queue_.push(stage, account, bucket, front, now_);
  ++waiting_;
  ++waiting_in_[class_of(bucket)];
  woken_.push_back(bucket);
}

void scheduler_core::unqueue(index stage) {
  --waiting_;
  --waiting_in_[class_of(line_of(stage_at(stage)).bucket)];
  queue_.remove(stage);
}

// -- events: stages ---------------------------------------------------------------------------------------------------

void scheduler_core::on(const stage_queued& e) {
  auto known = find(e.stage.ref);
  if (known != none) {
    if (stage_at(known).runs && running_[stage_at(known).where].withdrawn)
      out_->push_back(reject{e.stage.ref, "stopping", "its withdrawn attempt has not ended yet", 1000});
    return;
  }
  if (refuse(e.stage))
    return;
  auto stage = admit(e.stage, wanted_now(e.stage));
  auto returns = !preempted_.empty() && preempted_.contains(e.stage.ref); // it loses time, not its place in its line
  enqueue(stage.stage, stage.account, stage.bucket, returns);
}

void scheduler_core::on(const stage_withdrawn& e) {
  auto stage = find(e.ref);
  if (stage == none)
    return;
  if (!stage_at(stage).runs) {
    auto bucket = line_of(stage_at(stage)).bucket;
    unqueue(stage);
    forget(stage, bucket);
    return;
  }
  auto run = stage_at(stage).where;
  for (auto at : {run, running_[run].twin}) {
    if (at == none || running_[at].withdrawn || running_[at].attempt > e.up_to)
      continue;
    running_[at].withdrawn = true;
    out_->push_back(stop{e.ref, device_id{devices_.at(running_[at].device).id}, running_[at].attempt});
  }
}

void scheduler_core::on(const stage_ended& e) {
  auto hash = flat_index::hash_of(e.ref.job.value, e.ref.stage);
  by_ref_.expect(hash);
  auto device = devices_.find(e.device.value);
  if (auto likely = by_ref_.find(hash, [](index) { return true; }); likely != none)
    prefetch(&stage_at(likely));
  ended_.add(e.device.value, e.attempt, e.hello);
  claim(device, e.ref, e.attempt);
  auto run = find_run(device, e.attempt);
  if (run != none) {
    if (running_[run].stage == none || is(stage_at(running_[run].stage), e.ref))
      settle(run, e);
    return;
  }
  auto stage = find(e.ref);
  if (stage == none || stage_at(stage).runs || !stage_at(stage).lost || stage_at(stage).attempt != e.attempt)
    return; // a late report of an attempt that was given up
  // Its device was thought lost, and had finished.
  charge_late(stage, e);
  auto bucket = line_of(stage_at(stage)).bucket;
  unqueue(stage);
  forget(stage, bucket);
}

index scheduler_core::find_run(index device, std::uint64_t attempt) const {
  if (device == none)
    return none;
  const auto& running = devices_.at(device).running;
  auto found = std::find_if(running.begin(), running.end(), [&](const auto& r) { return r.attempt == attempt; });
  return found == running.end() ? none : found->run;
}

// One stage pays once: not for an attempt that was stopped for another's sake, and of two the one that is of use.
bool scheduler_core::pays(const running_record& run, outcome how) const {
  return run.stage != none &&
         (how == outcome::ok || (run.twin == none && !(run.preempted && how == outcome::cancelled)));
}

void scheduler_core::settle(index run, const stage_ended& e) {
  auto own = running_[run];
  auto& device = devices_.at(own.device);
  const auto& bucket = queue_.bucket_at(own.bucket);
  if (own.stage != none)
    prefetch(&stage_at(own.stage));
  auto due = pays(own, e.how) ? charge_for(own.account, own.bucket, device, e.run_ms) : 0;
  queue_.settle(own.account, pools_of(own.of_class, own.bucket), own.charged, due);
  if (e.how == outcome::ok && own.stage != none && device.of_class != none)
    run_times_.learn(bucket.work, devices_.class_at(device.of_class).type, e.run_ms, own.cold,
                     own.far ? e.transfer_ms : -1);
  if (e.how == outcome::ok) {
    device.failed = 0;
    device.failures.clear();
    ++device.done;
  } else if (e.how == outcome::device_fault && own.stage != none) {
    hold_against(own.device, stage_at(own.stage), bucket.wanted.model);
  }
  between_ends_ms_ += (static_cast<double>(now_ - silent_since_) - between_ends_ms_) / 50;
  silent_since_ = now_;
  if (!preempted_.empty() && (own.withdrawn || !own.preempted || e.how != outcome::cancelled))
    preempted_.erase(e.ref);
  if (own.twin != none)
    part(run, e.how == outcome::ok);
  auto stage = running_[run].stage;
  vacate(run);
  if (stage != none)
    forget(stage, own.bucket);
  else
    close_bucket_if_empty(own.bucket);
  offered_.push_back(own.device);
}

// One of two attempts ends. Where it had the result, the other is stopped and its end is of no account; else the stage
// is the other's.
void scheduler_core::part(index run, bool won) {
  auto& own = running_[run];
  auto other = std::exchange(own.twin, none);
  running_[other].twin = none;
  if (won) {
    auto& loser = running_[other];
    if (!loser.withdrawn)
      out_->push_back(stop{ref_of(stage_at(own.stage)), device_id{devices_.at(loser.device).id}, loser.attempt});
    loser.stage = none;
  } else {
    run_as(std::exchange(own.stage, none), other);
  }
}

// That an attempt ended can be heard before that it goes on: the words come from its device and from its job.
void scheduler_core::on(const stage_running& e) {
  claim(devices_.find(e.device.value), e.stage.ref, e.attempt);
  if (ended_.contains(e.device.value, e.attempt))
    return;
  auto known = find(e.stage.ref);
  auto run = find_run(devices_.find(e.device.value), e.attempt); // each number is one stage's
  admitted stage{};
  if (known != none) {
    auto& record = stage_at(known);
    if (run != none && running_[run].stage == known)
      return;
    // It waits: the attempt counts if it is the last one there was, or none was ever started here.
    if (record.runs || e.attempt < record.attempt || e.attempt > attempts_ || run != none) {
      out_->push_back(stop{e.stage.ref, e.device, e.attempt});
      return;
    }
    stage = {known, line_of(record).account, line_of(record).bucket};
    unqueue(known);
  } else {
    if (e.attempt > attempts_ || e.device.empty() || !sensible(e.stage) || run != none) {
      out_->push_back(stop{e.stage.ref, e.device, e.attempt});
      return;
    }
    stage = admit(e.stage, wanted_by(e.stage));
  }
  attach(stage, e.device, e.attempt);
}

// The stage is known, neither waiting nor running, and runs there already.
void scheduler_core::attach(const admitted& stage, const device_id& where, std::uint64_t attempt) {
  auto device = devices_.expect(where.value);
  auto& place = devices_.at(device);
  if (!place.up && place.running.empty())
    place.expected_since = now_;
  auto number = occupy(stage, device, attempt);
  run_as(stage.stage, number);
  running_[number].reattached = true;
  auto stopped = preempted_.find(ref_of(stage_at(stage.stage)));
  running_[number].preempted = stopped != preempted_.end() && stopped->second.attempt == attempt;
  account_for(number);
  devices_.refresh(device);
}

// What was begun before the device, or this head, was there: how much of it it takes, and what that costs.
void scheduler_core::account_for(index at) {
  auto& run = running_[at];
  auto& device = devices_.at(run.device);
  run.of_class = device.of_class;
  devices_.vacate(run.device, run.vram_mib);
  run.vram_mib = vram_in(run.of_class, run.bucket);
  devices_.occupy(run.device, run.vram_mib);
  device.overfull = device.slots_used > device.slots || device.vram_used > device.vram_mib;
  if (run.of_class == none)
    return;
  if (run.stage != none)
    run.charged = charge_for(run.account, run.bucket, device, expected_ms(stage_at(run.stage), run.bucket, device));
  queue_.charge(run.account, pools_of(run.of_class, run.bucket), run.charged);
}

// What a device that comes (back) says it runs. A number that was not given out yet is a lie, and not believed: else it
// would raise the numbers of all attempts to come.
void scheduler_core::take_back(index at, const std::vector<held_attempt>& held, std::uint64_t hello) {
  auto& device = devices_.at(at);
  device.unclaimed.clear();
  device.unclaimed_since = now_;
  for (std::size_t i = 0; i < std::min<std::size_t>(held.size(), held_max); ++i) {
    if (ended_.contains(device.id, held[i].attempt, hello))
      continue; // its end overtook the word that it runs
    auto stage = find(held[i].ref);
    if (held[i].attempt > attempts_) {
      out_->push_back(stop{held[i].ref, device_id{device.id}, held[i].attempt});
      continue;
    }
    if (stage == none) {
      device.unclaimed.push_back(held[i]);
      continue;
    }
    const auto& record = stage_at(stage);
    auto run = find_run(at, held[i].attempt);
    if (!record.runs && held[i].attempt >= record.attempt && run == none) {
      admitted taken{stage, line_of(record).account, line_of(record).bucket};
      unqueue(stage);
      attach(taken, device_id{device.id}, held[i].attempt);
    } else if (run == none || running_[run].stage != stage) {
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

// -- events: time -----------------------------------------------------------------------------------------------------

void scheduler_core::on(const tick&) {
  for (index at = 0; at < devices_.devices().end(); ++at) {
    if (!devices_.devices().used(at))
      continue;
    auto& device = devices_.at(at);
    if (device.quarantined && limits_.quarantine_ms > 0 && now_ - device.quarantined_at >= limits_.quarantine_ms) {
      device.quarantined = false; // device.failed stays: one more failure brings the quarantine back
      devices_.refresh(at);
      out_->push_back(released{device_id{device.id}, true});
      offered_.push_back(at);
    }
    if (!device.unclaimed.empty() && now_ - device.unclaimed_since >= limits_.reattach_ms) {
      device.unclaimed.clear(); // nobody wants them: whoever runs the node has been told to stop them
      offered_.push_back(at);
    }
    if (device.reserved_for != none && device.slots_free() > 0)
      offered_.push_back(at); // others may fit in before what it is kept for
    if (!device.up && !device.running.empty() && now_ - device.expected_since >= limits_.reattach_ms)
      lose(at);
    devices_.forget_if_empty(at, now_);
  }
  devices_.forget_failures(now_ - (limits_.quarantine_ms > 0 ? limits_.quarantine_ms : limits_.account_memory_ms));
  queue_.forget_idle(now_ - limits_.account_memory_ms);
  for (const auto& own : devices_.classes())
    queue_.keep_up(own.pools);
  ask_anew();
  reserve_for_starving();
  preempt();
  double_stragglers();
  forget_preemptions();
}

} // namespace troupe::scheduling
