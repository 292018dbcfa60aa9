#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace troupe::scheduling {

std::vector<index> scheduler_core::classes_for(index kind) const {
  std::vector<index> out;
  for (index c = 0; c < devices_.classes().size(); ++c)
    if (devices_.classes()[c].offers(kind))
      out.push_back(c);
  return out;
}

namespace {

std::string of_devices(std::size_t count, const std::string& kind) {
  return count == 1 ? "the one device that offers " + kind
                    : "the " + std::to_string(count) + " devices that offer " + kind;
}

} // namespace

// Each device counts once, in the first that is true. From counts: a cluster is too large to be walked for an answer.
scheduler_core::offer_count scheduler_core::offer_for(const requirement& wanted, index bucket) const {
  offer_count n;
  auto of = [&n](standing s) -> std::size_t& { return n.large_enough[static_cast<std::size_t>(s)]; };
  auto need_in = [&](index c) { return devices_.classes()[c].need(wanted.kind, wanted.vram_mib); };
  for (auto c : classes_for(wanted.kind))
    for (const auto& [vram_mib, counts] : devices_.classes()[c].by_size) {
      auto sum = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
      n.up += sum;
      n.largest_mib = std::max(n.largest_mib, vram_mib);
      if (vram_mib < need_in(c))
        n.too_small += sum;
      else
        std::transform(counts.begin(), counts.end(), n.large_enough.begin(), n.large_enough.begin(), std::plus<>());
    }
  if (bucket != none && queue_.bucket_at(bucket).reserved != none) { // what is kept for it is no obstacle
    --of(standing::reserved);
    ++of(standing::open);
  }
  for (const auto& id : wanted.excluded) {
    auto at = devices_.find(id);
    if (at == none || !devices_.at(at).up || devices_.at(at).vram_mib < need_in(devices_.at(at).of_class) ||
        !devices_.classes()[devices_.at(at).of_class].offers(wanted.kind))
      continue;
    auto kept_for_it = bucket != none && devices_.at(at).reserved_for == bucket;
    --of(kept_for_it ? standing::open : *devices_.at(at).stands());
    ++n.excluded;
  }
  return n;
}

std::optional<wait_reason> scheduler_core::why_waiting(const stage_ref& ref) const {
  auto stage = find(ref);
  if (stage == none || stage_at(stage).runs)
    return std::nullopt;
  const auto& line = line_of(stage_at(stage));
  const auto& wanted = queue_.bucket_at(line.bucket).wanted;
  const auto& kind = kinds_.name(wanted.kind);
  auto n = offer_for(wanted, line.bucket);
  auto [quarantined, draining, reattaching, reserved, busy] = n.large_enough;
  const auto& account = queue_.account_at(line.account);
  if (n.up == 0)
    return wait_reason{"no_device_offers", "no device that is up offers " + kind};
  if (n.too_small == n.up)
    return wait_reason{"too_large", "it needs " + std::to_string(vram_in_least(line.bucket)) +
                                        " MiB of device memory; the largest device that offers " + kind + " has " +
                                        std::to_string(n.largest_mib) + " MiB"};
  if (busy > 0 && queue_.at_cap(line.account))
    return wait_reason{"account_cap", "the account has " + std::to_string(account.running) + " stages running, and " +
                                          std::to_string(limits_.in_flight_per_account) + " is its limit"};
  if (busy > 0)
    return wait_reason{"busy", of_devices(busy, kind) + (busy == 1 ? " is busy" : " are busy") + "; it is number " +
                                   std::to_string(*position(ref)) + " in line"};
  if (reserved > 0)
    return wait_reason{"reserved", of_devices(reserved, kind) + (reserved == 1 ? " is" : " are") +
                                       " kept for another stage, which found no room"};
  if (reattaching > 0)
    return wait_reason{"reattaching",
                       of_devices(reattaching, kind) + " just came back with work that is being taken up"};
  if (draining > 0)
    return wait_reason{"draining", of_devices(draining, kind) + (draining == 1 ? " is" : " are") + " being drained"};
  if (quarantined > 0)
    return wait_reason{"quarantined", of_devices(quarantined, kind) + (quarantined == 1 ? " is" : " are") +
                                          " quarantined; an operator can enable it"};
  return wait_reason{"excluded", of_devices(n.excluded, kind) + (n.excluded == 1 ? " has" : " have") +
                                     " already failed this stage"};
}

// By turns: while k stages of its own account go first, each other account has k turns of its weight to ours.
std::optional<std::uint64_t> scheduler_core::position(const stage_ref& ref) const {
  auto stage = find(ref);
  if (stage == none || stage_at(stage).runs)
    return std::nullopt;
  const auto& record = stage_at(stage);
  const auto& line = line_of(record);
  const auto& bucket = queue_.bucket_at(line.bucket);
  auto weight = queue_.account_at(line.account).weight;
  std::uint64_t own = queue_.ahead_in_line(stage);
  auto is_next = queue_.is_next(record.where);
  auto turns = (own + (is_next ? 0 : 1)) * (bucket.weights - weight) / weight;
  auto others = std::min<std::uint64_t>(turns, bucket.waiting - line.count);
  return own + others + 1;
}

// What goes first, over all buckets that want the same devices, over the slots of those; or of its own account, over
// the account's cap, where that takes longer.
std::optional<std::int64_t> scheduler_core::eta_ms(const stage_ref& ref) const {
  auto place_in_line = position(ref);
  if (!place_in_line)
    return std::nullopt;
  const auto& record = stage_at(find(ref));
  const auto& line = line_of(record);
  const auto could_begin = offer_for(queue_.bucket_at(line.bucket).wanted, line.bucket).large_enough;
  if (could_begin[static_cast<std::size_t>(standing::open)] +
          could_begin[static_cast<std::size_t>(standing::reserved)] ==
      0)
    return std::nullopt;
  std::uint64_t slots = 0;
  std::vector<index> rivals;
  std::vector<const device_class*> classes;
  for (auto c : classes_for(queue_.bucket_at(line.bucket).wanted.kind)) {
    const auto& own = devices_.classes()[c];
    if (own.slots_up == 0)
      continue;
    slots += own.slots_up;
    classes.push_back(&own);
    rivals.insert(rivals.end(), own.buckets.begin(), own.buckets.end());
  }
  std::sort(rivals.begin(), rivals.end());
  rivals.erase(std::unique(rivals.begin(), rivals.end()), rivals.end());
  // Over the slots that offer the kind, as often as each of them would run it.
  auto mean = [&](index bucket) {
    const auto& other = queue_.bucket_at(bucket);
    double of_slots = 0, a_ms = 0;
    for (const auto* c : classes)
      if (c->offers(other.wanted.kind)) {
        of_slots += c->slots_up;
        a_ms +=
            c->slots_up / static_cast<double>(std::max(1u, run_times_.expect(other.work, c->type, record.estimate_ms)));
      }
    return of_slots / a_ms;
  };
  const auto& account = queue_.account_at(line.account);
  auto own_mean = mean(line.bucket);
  auto work = static_cast<double>(*place_in_line) * own_mean;
  auto own = static_cast<double>(queue_.ahead_in_line(find(ref)) + 1);
  auto turns = own / account.weight;
  for (auto bucket : rivals) {
    const auto& other = queue_.bucket_at(bucket);
    if (bucket != line.bucket)
      work += std::min<double>(other.waiting, turns * static_cast<double>(other.weights)) * mean(bucket);
  }
  auto cap = static_cast<double>(std::max(1u, limits_.in_flight_per_account));
  auto above_cap = std::max(0.0, account.running + own - cap); // so many of the account's must have ended
  return std::llround(std::max(work / static_cast<double>(slots), above_cap * own_mean / cap));
}

std::optional<start> scheduler_core::running_at(const stage_ref& ref) const {
  auto stage = find(ref);
  if (stage == none || !stage_at(stage).runs)
    return std::nullopt;
  const auto& run = running_[stage_at(stage).where];
  return start{ref, device_id{devices_.at(run.device).id}, run.attempt};
}

account_load scheduler_core::load_of(const account_id& account) const {
  auto at = queue_.find_account(account.value);
  if (at == none)
    return {};
  return {queue_.account_at(at).waiting, queue_.account_at(at).running};
}

bool scheduler_core::offered(const std::string& kind) const {
  auto classes = classes_for(kinds_.find(kind));
  return std::any_of(classes.begin(), classes.end(),
                     [this](index c) { return !devices_.classes()[c].by_size.empty(); });
}

// -- for the console --------------------------------------------------------------------------------------------------

json scheduler_core::inspect(std::size_t rows_max) const {
  json out = {{"waiting", waiting_},
              {"running", running_.size()},
              {"starts", starts_},
              {"attempts", attempts_},
              {"counts",
               {{"devices", devices_.devices().size()},
                {"device_classes", devices_.classes().size()},
                {"buckets", queue_.buckets().size()},
                {"accounts", queue_.accounts().size()}}},
              {"devices", json::array()},
              {"buckets", json::array()},
              {"accounts", json::array()},
              {"run_times", json::array()}};
  for (index at = 0; at < devices_.devices().end() && out["devices"].size() < rows_max; ++at)
    if (devices_.devices().used(at))
      out["devices"].push_back(inspect_device(devices_.at(at)));
  for (index at = 0; at < queue_.buckets().end() && out["buckets"].size() < rows_max; ++at)
    if (queue_.buckets().used(at))
      out["buckets"].push_back(inspect_bucket(queue_.bucket_at(at)));
  for (index at = 0; at < queue_.accounts().end() && out["accounts"].size() < rows_max; ++at) {
    if (!queue_.accounts().used(at))
      continue;
    const auto& account = queue_.account_at(at);
    json virtual_ms = json::object();
    for (index kind = 0; kind < pools_.size(); ++kind)
      if (pools_[kind] != none)
        virtual_ms[kinds_.name(kind)] = queue_.compared_time_of(at, pools_[kind]) / 1000;
    out["accounts"].push_back({{"account", account.id},
                               {"weight", account.weight},
                               {"waiting", account.waiting},
                               {"running", account.running},
                               {"virtual_ms", std::move(virtual_ms)}});
  }
  run_times_.for_each([&](index kind, index model, index type, const run_times::average& own) {
    out["run_times"].push_back({{"kind", kinds_.name(kind)},
                                {"model", model == none ? "" : models_.name(model)},
                                {"type", types_.name(type)},
                                {"mean_ms", std::lround(own.mean_ms)},
                                {"deviation_ms", std::lround(own.deviation_ms)},
                                {"samples", own.samples},
                                {"load_ms", std::lround(own.load_ms)},
                                {"loads", own.loads},
                                {"transfer_ms", std::lround(own.transfer_ms)},
                                {"transfers", own.transfers}});
    return out["run_times"].size() < rows_max;
  });
  return out;
}

json scheduler_core::inspect_device(const device_record& device) const {
  constexpr std::size_t running_max = 16;
  json out = {{"device", device.id},
              {"node", device.node},
              {"state", device.state()},
              {"slots", device.slots},
              {"slots_used", device.slots_used},
              {"vram_mib", device.vram_mib < vram_unbounded ? device.vram_mib : 0},
              {"vram_used_mib", device.vram_used},
              {"done", device.done},
              {"failed_in_a_row", device.failed},
              {"reserved", device.reserved_for != none},
              {"warm", json::array()},
              {"running", json::array()}};
  if (device.of_class != none)
    out["type"] = types_.name(devices_.classes()[device.of_class].type);
  for (const auto& warm : device.warm)
    out["warm"].push_back(models_.name(warm.model));
  for (std::size_t i = 0; i < std::min(running_max, device.running.size()); ++i) {
    const auto& run = running_[device.running[i].run];
    json row = {{"attempt", run.attempt},
                {"for_ms", now_ - run.since},
                {"stopping", run.withdrawn || run.preempted || run.stage == none},
                {"second", run.second}};
    if (run.stage != none) {
      auto ref = ref_of(stage_at(run.stage));
      row["job"] = ref.job;
      row["stage"] = ref.stage;
    }
    out["running"].push_back(std::move(row));
  }
  return out;
}

json scheduler_core::inspect_bucket(const bucket_record& bucket) const {
  static constexpr const char* classes[] = {"interactive", "standard", "preemptible"};
  return {{"kind", kinds_.name(bucket.wanted.kind)},
          {"model", bucket.wanted.model == none ? "" : models_.name(bucket.wanted.model)},
          {"vram_min_mib", bucket.wanted.vram_mib},
          {"class", classes[static_cast<std::size_t>(bucket.wanted.priority)]},
          {"excluded", bucket.wanted.excluded},
          {"waiting", bucket.waiting},
          {"running", bucket.running},
          {"accounts_in_line", bucket.lines},
          {"has_reservation", bucket.reserved != none}};
}

} // namespace troupe::scheduling
