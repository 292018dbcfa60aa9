#include "actors/scheduler/scheduler_core.hpp"

// Devices come and go, are drained, enabled and quarantined; and what was running there when one is lost.

#include <algorithm>

namespace troupe::scheduling {

namespace {

constexpr std::size_t kinds_max = 10'000; // names are kept for good
constexpr index types_max = 256;          // for each, run times of all work

} // namespace

// A node may say anything. Beyond so many types one that no device has any more makes room, best one of which nothing
// is known; where there is none, all others are one.
index scheduler_core::type_of(const device_up& e) {
  if (auto known = types_.find(e.type); known != none || types_.size() < types_max)
    return types_.number(e.type);
  std::vector<bool> is_used(types_max + 1);
  for (const auto& c : devices_.classes())
    is_used[c.type] = is_used[c.type] || !c.devices.empty();
  auto unused = none;
  for (index type = 0; type < types_max; ++type)
    if (!is_used[type] && (unused == none || (run_times_.knows(unused) && !run_times_.knows(type))))
      unused = type;
  if (unused == none)
    return types_.number("other");
  run_times_.forget(unused);
  types_.rename(unused, e.type);
  return unused;
}

void scheduler_core::on(const device_up& e) {
  if (e.device.empty() || e.device.value.size() > name_bytes_max)
    return;
  std::vector<index> kinds;
  for (const auto& kind : e.kinds)
    if (kinds_.size() < kinds_max || kinds_.find(kind) != none)
      kinds.push_back(kinds_.number(kind));
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  std::vector<std::uint32_t> needs;
  for (const auto& [name, vram_mib] : e.needs)
    if (auto kind = kinds_.find(name); vram_mib > 0 && std::binary_search(kinds.begin(), kinds.end(), kind)) {
      needs.resize(std::max<std::size_t>(needs.size(), kind + 1));
      needs[kind] = vram_mib;
    }
  auto device = devices_.expect(e.device.value);
  end_reservation(device);
  take_back(device, e.running, e.hello);
  devices_.at(device).draining = e.draining;
  devices_.at(device).distrusted = e.quarantined;
  devices_.describe(device, e.node.value, type_of(e), std::move(kinds), std::move(needs), e.slots, e.vram_mib);
  devices_.at(device).session = e.session;
  const auto of_class = devices_.at(device).of_class;
  if (auto& own = devices_.class_at(of_class); own.buckets.empty()) { // it may be new
    enter_pools(of_class);
    for (index bucket = 0; bucket < queue_.buckets().end(); ++bucket)
      if (queue_.buckets().used(bucket) && own.offers(queue_.bucket_at(bucket).wanted.kind))
        own.buckets.push_back(bucket);
  }
  for (const auto& held : devices_.at(device).running)
    if (running_[held.run].of_class == none) // heard of before the device was
      account_for(held.run);
  devices_.refresh(device);
  offered_.push_back(device);
}

void scheduler_core::on(const device_down& e) {
  auto device = devices_.find(e.device.value);
  if (device == none)
    return; // the node and the link may both report it
  lose(device);
  devices_.forget_if_empty(device, now_);
}

void scheduler_core::forgive(const device_id& device) {
  if (devices_.forget_failures(device.value))
    out_->push_back(released{device, false});
}

void scheduler_core::on(const device_drain& e) {
  if (e.forgiven)
    forgive(e.device);
  auto device = devices_.find(e.device.value);
  if (device == none)
    return;
  end_reservation(device);
  devices_.at(device).draining = true;
  devices_.at(device).distrusted = e.quarantined;
  devices_.refresh(device);
  devices_.forget_if_empty(device, now_);
}

void scheduler_core::on(const device_enable& e) {
  forgive(e.device);
  auto at = devices_.find(e.device.value);
  if (at == none)
    return;
  auto& device = devices_.at(at);
  device.draining = device.distrusted = false;
  devices_.refresh(at);
  if (device.up)
    offered_.push_back(at);
  else
    devices_.forget_if_empty(at, now_);
}

// Three failures in a row, of two jobs or two models, are the device's fault and not the work's.
void scheduler_core::hold_against(index at, const stage_record& stage, index model) {
  auto& device = devices_.at(at);
  ++device.failed;
  device.failures.push_back({flat_index::hash_of(stage.job.view()), model});
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
  for (const auto& r : stranded) {
    auto run = running_[r.run];
    queue_.settle(run.account, pools_of(run.of_class, run.bucket), run.charged, 0); // lost work costs nothing
    if (run.stage != none && !run.withdrawn && !run.second)
      out_->push_back(moved{ref_of(stage_at(run.stage)), device_id{devices_.at(at).id}, run.attempt});
    if (run.twin != none)
      part(r.run, false);
    auto stage = running_[r.run].stage;
    vacate(r.run);
    if (stage == none) {
      close_bucket_if_empty(run.bucket);
    } else if (run.withdrawn) {
      forget(stage, run.bucket);
    } else {
      auto& record = stage_at(stage);
      record.runs = false;
      record.lost = true;
      enqueue(stage, run.account, run.bucket, true);
    }
  }
}

} // namespace troupe::scheduling
