#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>
#include <limits>

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

// How many starts count as done when nobody who has waited too long could be served: the next try comes sooner, and
// after another number of starts each time, so that it is not always on the same one of some devices.
std::uint32_t turns_after_none(std::uint64_t chance, std::uint32_t period) {
  return static_cast<std::uint32_t>((chance * 0x9e3779b97f4a7c15ULL >> 33) % (period / 2 + 1));
}

} // namespace

// -- buckets ----------------------------------------------------------------------------------------------------------

// Kinds that the same devices offer share a pool.
index scheduler_core::open_pool(index kind) {
  pools_.resize(std::max<std::size_t>(pools_.size(), kind + 1), none);
  if (pools_[kind] != none)
    return pools_[kind];
  const auto& classes = devices_.classes();
  for (index other = 0; other < pools_.size(); ++other)
    if (pools_[other] != none &&
        std::all_of(classes.begin(), classes.end(), [&](const auto& c) { return c.offers(kind) == c.offers(other); }))
      return pools_[kind] = pools_[other];
  pools_[kind] = queue_.add_pool();
  for (index c = 0; c < classes.size(); ++c)
    if (classes[c].offers(kind)) {
      devices_.class_at(c).pools.push_back(pools_[kind]);
      queue_.keep_up(classes[c].pools);
    }
  return pools_[kind];
}

// Devices of a new class are of the pools of their kinds. Where they offer only some of a pool's, those part from it.
void scheduler_core::enter_pools(index of_class) {
  const auto kinds = devices_.classes()[of_class].kinds;
  auto is_open = [this](index kind) { return kind < pools_.size() && pools_[kind] != none; };
  std::map<index, index> parted; // from, to
  for (index kind = 0; kind < pools_.size(); ++kind)
    if (is_open(kind) && !devices_.classes()[of_class].offers(kind))
      parted[pools_[kind]] = none;
  for (auto kind : kinds) {
    if (!is_open(kind))
      continue;
    auto stays = !parted.contains(pools_[kind]);
    if (auto& to = stays ? pools_[kind] : parted[pools_[kind]]; to == none) {
      to = queue_.add_pool(pools_[kind]);
      for (index c = 0; c < devices_.classes().size(); ++c)
        if (c != of_class && devices_.classes()[c].offers(kind))
          devices_.class_at(c).pools.push_back(to);
    }
    if (!stays) {
      auto to = parted[pools_[kind]];
      pools_[kind] = to;
      for (index bucket = 0; bucket < queue_.buckets().end(); ++bucket)
        if (queue_.buckets().used(bucket) && queue_.bucket_at(bucket).wanted.kind == kind)
          queue_.move(bucket, to);
    }
    auto& own = devices_.class_at(of_class).pools;
    if (std::find(own.begin(), own.end(), pools_[kind]) == own.end())
      own.push_back(pools_[kind]);
  }
}

// What is used on a device of the class counts in all its pools; where it is not known what it offers, in the bucket's.
std::span<const index> scheduler_core::pools_of(index of_class, index bucket) const {
  if (of_class != none && !devices_.classes()[of_class].pools.empty())
    return devices_.classes()[of_class].pools;
  return {&queue_.front_of(bucket).pool, 1};
}

index scheduler_core::open_bucket(requirement wanted) {
  auto bucket = queue_.find_bucket(wanted);
  if (bucket != none)
    return bucket;
  auto kind = wanted.kind;
  auto work = run_times_.work(wanted.kind, wanted.model);
  bucket = queue_.add_bucket(std::move(wanted), open_pool(kind));
  queue_.bucket_at(bucket).work = work;
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

// -- cost -------------------------------------------------------------------------------------------------------------

std::uint32_t scheduler_core::expected_ms(const stage_record& stage, index bucket, const device_record& device) const {
  if (device.of_class == none)
    return stage.estimate_ms;
  return run_times_.expect(queue_.bucket_at(bucket).work, devices_.classes()[device.of_class].type, stage.estimate_ms);
}

// Device time × the share of the device it keeps from others (of its VRAM or its slots, whichever is more), by weight.
virtual_time scheduler_core::charge_for(index account, index bucket, const device_record& device,
                                        std::uint32_t run_ms) const {
  auto vram = vram_in(device.of_class, bucket);
  auto share = device.slots > 0 ? 1.0 / device.slots : 1.0;
  if (device.vram_mib > 0)
    share = std::max(share, std::min(1.0, static_cast<double>(vram) / device.vram_mib));
  auto cost = std::max(1u, run_ms) * 1000.0 * share / queue_.account_at(account).weight;
  return std::max<virtual_time>(1, static_cast<virtual_time>(cost));
}

void scheduler_core::charge_late(index stage, const stage_ended& e) {
  auto at = devices_.find(e.device.value);
  const auto& line = line_of(stage_at(stage));
  const device_record unknown;
  const auto& device = at == none ? unknown : devices_.at(at);
  queue_.settle(line.account, pools_of(device.of_class, line.bucket), 0,
                charge_for(line.account, line.bucket, device, e.run_ms));
}

// -- a device has room ------------------------------------------------------------------------------------------------

bool scheduler_core::is_excluded(const requirement& wanted, const device_record& device) {
  return std::binary_search(wanted.excluded.begin(), wanted.excluded.end(), device.id);
}

// What a stage of the bucket takes of a device of the class.
std::uint32_t scheduler_core::vram_in(index of_class, index bucket) const {
  const auto& wanted = queue_.front_of(bucket);
  return of_class == none ? wanted.vram_mib : devices_.classes()[of_class].need(wanted.kind, wanted.vram_mib);
}

std::uint32_t scheduler_core::vram_in_least(index bucket) const {
  auto least = vram_unbounded;
  for (auto c : classes_for(queue_.front_of(bucket).kind))
    least = std::min(least, vram_in(c, bucket));
  return least;
}

bool scheduler_core::may_run(const device_record& device, index bucket) const {
  const auto& wanted = queue_.front_of(bucket);
  if (!device.takes_work() || !device.fits(vram_in(device.of_class, bucket)) ||
      (device.reserved_for != none && device.reserved_for != bucket && !may_backfill(device, bucket)))
    return false;
  return !wanted.picky || !is_excluded(queue_.bucket_at(bucket).wanted, device);
}

// Fills the device: the account whose turn it is, over all buckets that the device can serve.
void scheduler_core::offer(index at) {
  if (!devices_.devices().used(at))
    return;
  while (devices_.at(at).takes_work() && devices_.at(at).slots_free() > 0) {
    const auto& device = devices_.at(at);
    if (device.reserved_for != none && queue_.head(device.reserved_for) == none)
      end_reservation(at);
    index line = none;
    auto& own = devices_.class_at(device.of_class);
    const auto is_for_aged = limits_.aging_period > 0 && own.turns + 1 >= limits_.aging_period;
    if (is_for_aged)
      line = choose_aged(device);
    const auto is_aged = line != none;
    for (auto in_want : classes_in_want(own))
      if (line == none)
        line = choose_line(device, in_want);
    // Who is served before its turn does not make it later for who comes.
    if (line == none) {
      line = choose_line(device, std::nullopt);
      if (line != none && device.reserved_for == none)
        queue_.advance(queue_.line_at(line).account, own.pools);
    }
    if (line == none)
      break;
    own.turns = is_aged ? 0 : is_for_aged ? turns_after_none(attempts_, limits_.aging_period) : own.turns + 1;
    begin(line, at);
  }
  devices_.refresh(at);
}

std::size_t scheduler_core::class_of(index bucket) const {
  return static_cast<std::size_t>(queue_.front_of(bucket).priority);
}

// The classes that are below what they are to get at least, by a stage's time or more, and of which something waits:
// the furthest first. What waits of one may be for other devices.
boost::container::small_vector<priority_class, class_count>
scheduler_core::classes_in_want(const device_class& own) const {
  auto all = own.recent_ms[0] + own.recent_ms[1] + own.recent_ms[2];
  auto missing = [&](priority_class which) {
    auto at = static_cast<std::size_t>(which);
    return limits_.class_shares_min[at] * all - own.recent_ms[at];
  };
  boost::container::small_vector<priority_class, class_count> out;
  for (std::size_t at = 0; own.recent_starts > 0 && at < waiting_in_.size(); ++at)
    if (waiting_in_[at] > 0 && waiting_in_[at] < waiting_ &&
        missing(static_cast<priority_class>(at)) >= all / own.recent_starts)
      out.push_back(static_cast<priority_class>(at));
  if (out.size() > 1)
    std::sort(out.begin(), out.end(), [&](auto a, auto b) { return missing(a) > missing(b); });
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

boost::container::small_vector<index, 4> scheduler_core::models_in_use(const device_record& device) const {
  boost::container::small_vector<index, 4> out;
  for (const auto& r : device.running)
    out.push_back(queue_.front_of(running_[r.run].bucket).model);
  return out;
}

// VRAM for a model that is not loaded there, such that none is pushed out that is in use or was loaded only just now.
std::uint32_t scheduler_core::room_to_load(const device_record& device) const {
  const auto in_use = models_in_use(device);
  std::uint32_t kept = 0, count = 0;
  for (const auto& warm : device.warm) {
    auto is_used = std::find(in_use.begin(), in_use.end(), warm.model) != in_use.end();
    auto is_fresh = now_ - warm.loaded < limits_.residency_min_ms;
    count += is_used || is_fresh ? 1 : 0;
    kept += is_fresh && !is_used ? warm.vram_mib : 0; // what is used is not free
  }
  auto free = device.vram_free();
  return count < limits_.warm_models_max && free > kept ? free - kept : 0;
}

// `only`: of that class, or none. A line whose model would push out one that was loaded only just now comes after all
// others: each load is to be of some use.
index scheduler_core::choose_line(const device_record& device, std::optional<priority_class> only) {
  auto gentle = room_to_load(device);
  auto line = choose_line(device, only, gentle);
  return line != none || gentle == device.vram_free() ? line : choose_line(device, only, device.vram_free());
}

index scheduler_core::choose_line(const device_record& device, std::optional<priority_class> only,
                                  std::uint32_t room_to_load) {
  ++looks_;
  for (const auto& warm : device.warm)
    warm_on_[warm.model] = looks_;
  const auto room = device.vram_free();
  const auto& own = devices_.class_at(device.of_class);
  auto is_warm = [&](const bucket_front& front) { return front.model != none && warm_on_[front.model] == looks_; };
  auto may = [&](index bucket) {
    const auto& front = queue_.front_of(bucket);
    const auto vram_mib = own.need(front.kind, front.vram_mib);
    if (front.empty || vram_mib > room || (only && front.priority != *only) ||
        (vram_mib > room_to_load && !is_warm(front)))
      return false;
    return (!front.picky && device.reserved_for == none) || may_run(device, bucket);
  };
  // Buckets that come before or after their turn by as much are looked into together.
  auto group_of = [&](const bucket_front& front) {
    return static_cast<std::size_t>(front.priority) * 2 + (is_warm(front) ? 1 : 0);
  };
  constexpr auto groups = class_count * 2;
  work_.assign(queue_.shelves() * groups, 0);
  for (auto bucket : own.buckets)
    if (may(bucket)) {
      const auto& front = queue_.front_of(bucket);
      work_[front.shelf * groups + group_of(front)] |= front.work();
    }
  index best_shelf = none;
  std::uint64_t best_work = 0;
  account_order::entry best;
  auto is_before = [&](const account_order::entry& e, index shelf) {
    if (best_shelf == none || e.key != best.key || e.account != best.account)
      return best_shelf == none || e.before(best);
    return queue_.turns_until(e.account, shelf) < queue_.turns_until(e.account, best_shelf);
  };
  for (index shelf = 0; shelf < queue_.shelves(); ++shelf)
    for (std::size_t group = 0; group < groups; ++group) {
      auto work = work_[shelf * groups + group];
      if (work == 0 || queue_.is_empty(shelf))
        continue;
      auto shift = shift_of(static_cast<priority_class>(group / 2), limits_) -
                   (group % 2 == 1 ? limits_.warm_lead_ms * 1000 : 0);
      if (best_shelf != none && queue_.bound(shelf) + shift > best.key)
        continue;
      auto next = queue_.first(shelf, work);
      if (!next)
        continue;
      next->key += shift;
      if (!is_before(*next, shelf))
        continue;
      best = *next;
      best_shelf = shelf;
      best_work = work;
    }
  if (best_shelf == none)
    return none;
  auto line = turn_of(best.account, queue_.line_of(best.account, best_shelf, best_work), is_warm, may);
  prefetch(&stage_at(queue_.line_at(line).first));
  return line;
}

// The account's stages for which a model is loaded, `line`, go before its others, but not for longer than
// warm_run_max_ms of a device: then it is the turn of the one that has waited longest.
template <class IsWarm, class May>
index scheduler_core::turn_of(index whose, index line, IsWarm is_warm, May may) {
  const auto& chosen = queue_.front_of(queue_.line_at(line).bucket);
  const auto& account = queue_.account_at(whose);
  auto on_loaded_us = queue_.since_turn(whose, chosen.pool) * account.weight;
  bool runs_on = is_warm(chosen) && account.lines.size() > 1;
  if (runs_on && on_loaded_us < limits_.warm_run_max_ms * 1000)
    return line;
  if (runs_on)
    line = queue_.oldest_of(whose, [&](index bucket) {
      const auto& other = queue_.front_of(bucket);
      return other.pool == chosen.pool && other.priority == chosen.priority && may(bucket);
    });
  queue_.note_turn(whose, chosen.pool);
  return line;
}

// The account that has waited longest, if that is too long; none otherwise.
index scheduler_core::choose_aged(const device_record& device) {
  index best = none;
  auto latest = now_ - limits_.aging_after_ms;
  for (auto bucket : devices_.class_at(device.of_class).buckets) {
    if (queue_.front_of(bucket).empty || !may_run(device, bucket))
      continue;
    auto line = queue_.oldest(bucket, latest);
    if (line != none) {
      best = line;
      latest = queue_.line_at(line).since - 1;
    }
  }
  return best;
}

// -- a stage wants room -----------------------------------------------------------------------------------------------

// Starts what the bucket holds while there are devices for it.
void scheduler_core::place(index bucket) {
  if (!queue_.buckets().used(bucket) || !could_place(bucket))
    return;
  for (auto line = queue_.head(bucket); line != none; line = queue_.head(bucket)) {
    auto device = choose_device(bucket, queue_.line_at(line).first);
    if (device == none)
      return;
    queue_.advance(queue_.line_at(line).account, devices_.class_at(devices_.at(device).of_class).pools);
    begin(line, device);
    devices_.refresh(device);
  }
}

// Whether any device that offers its kind has room at all: where all are busy, whose turn it is need not be known.
bool scheduler_core::could_place(index bucket) const {
  const auto& record = queue_.bucket_at(bucket);
  return record.reserved != none ||
         std::any_of(devices_.classes().begin(), devices_.classes().end(),
                     [&](const auto& c) { return !c.room.empty() && c.offers(record.wanted.kind); });
}

// What is not known yet of a load or a transfer.
constexpr double load_guess_ms = 2'000, transfer_guess_ms = 500;

bool scheduler_core::is_cold(const device_record& device, index model) const {
  return model != none && !devices_.is_warm(device, model);
}

bool scheduler_core::is_far(index stage, const device_record& device) const {
  if (near_.empty())
    return false;
  auto near = near_.find(stage);
  return near != near_.end() && std::none_of(near->second.begin(), near->second.end(),
                                             [&](const auto& node) { return node.value == device.node; });
}

double scheduler_core::load_ms(index work, const device_record& device) const {
  const auto* known =
      device.of_class == none ? nullptr : run_times_.find(work, devices_.classes()[device.of_class].type);
  return known != nullptr && known->loads > 0 ? static_cast<double>(known->load_ms) : load_guess_ms;
}

// Until it would have ended there, and what it pushes out is loaded again.
double scheduler_core::cost_ms(index stage, index bucket, const device_record& device) const {
  const auto& record = queue_.bucket_at(bucket);
  const auto* known = run_times_.find(record.work, devices_.classes()[device.of_class].type);
  double out =
      known != nullptr ? static_cast<double>(known->mean_ms) : static_cast<double>(stage_at(stage).estimate_ms);
  if (is_cold(device, record.wanted.model))
    out += load_ms(record.work, device) + (vram_in(device.of_class, bucket) > room_to_load(device) ? load_guess_ms : 0);
  if (is_far(stage, device))
    out += known != nullptr && known->transfers > 0 ? known->transfer_ms : transfer_guess_ms;
  return out;
}

// Where it ends soonest: run time, and what loading its model and bringing its inputs takes; of equals the tightest fit
// in VRAM, so that the others stay whole, then the least loaded.
index scheduler_core::choose_device(index bucket, index stage) const {
  constexpr int looks = 16; // a preference is not worth a long search
  const auto& record = queue_.bucket_at(bucket);
  const auto& wanted = record.wanted;
  auto near = near_.find(stage);
  using rank = std::pair<double, room_key>;
  index best = none;
  rank best_rank;
  auto consider = [&](index at) {
    const auto& device = devices_.at(at);
    if (device.of_class == none || !devices_.classes()[device.of_class].offers(wanted.kind) || !may_run(device, bucket))
      return false;
    auto own = rank{cost_ms(stage, bucket, device), room_key{device.vram_free(), device.slots_used, at}};
    if (best == none || own < best_rank) {
      best = at;
      best_rank = own;
    }
    return true;
  };
  auto with = [](std::uint32_t vram_mib) { return room_key{vram_mib, 0, 0}; };
  if (record.reserved != none)
    consider(record.reserved);
  if (const auto* warm = wanted.model == none ? nullptr : devices_.warm_room(wanted.model)) {
    auto left = looks;
    for (auto at = warm->lower_bound(with(vram_in_least(bucket))); at != warm->end() && left > 0; ++at, --left)
      consider(std::get<2>(*at));
  }
  if (near != near_.end())
    for (const auto& node : near->second) {
      auto left = looks;
      for (auto at : devices_.devices_of_node(node.value))
        if (left-- > 0)
          consider(at);
    }
  for (auto of_class : classes_for(wanted.kind)) {
    const auto& c = devices_.classes()[of_class];
    auto at = c.room.lower_bound(with(vram_in(of_class, bucket)));
    while (at != c.room.end() && !consider(std::get<2>(*at)))
      ++at; // only excluded devices are passed over, and they are few
  }
  return best;
}

// -- what a start changes ---------------------------------------------------------------------------------------------

void scheduler_core::begin(index at_line, index at) {
  const auto& line = queue_.line_at(at_line);
  auto stage = line.first;
  auto account = line.account;
  auto bucket = line.bucket;
  auto& device = devices_.at(at);
  auto& own = devices_.class_at(device.of_class);
  auto expected = expected_ms(stage_at(stage), bucket, device);
  auto charged = charge_for(account, bucket, device, expected);
  note_use(own, class_of(bucket), expected);
  note_passed_over(at_line, device);
  auto cold = is_cold(device, queue_.front_of(bucket).model);
  auto far = is_far(stage, device);
  queue_.serve(at_line, pools_of(device.of_class, bucket), charged, now_);
  --waiting_;
  --waiting_in_[class_of(bucket)];
  ++starts_;
  auto number = occupy({stage, account, bucket}, at, ++attempts_);
  run_as(stage, number);
  auto& run = running_[number];
  run.charged = charged;
  run.cold = cold;
  run.far = far;
  auto reserved = queue_.bucket_at(bucket).reserved;
  if (reserved != none)
    end_reservation(reserved);
  queue_.bucket_at(bucket).passed_over = never;
  out_->push_back(start{ref_of(stage_at(stage)), device_id{device.id}, run.attempt, false, device.session});
}

// The buckets whose turn was before this line's, and which found too little VRAM beside what runs. On a device with one
// slot there is none: what it is large enough for fits once that is free.
void scheduler_core::note_passed_over(index begun, const device_record& device) {
  if (device.slots < 2)
    return;
  auto turn_of = [this](const bucket_front& front, virtual_time key) {
    return key + shift_of(front.priority, limits_);
  };
  const auto turn = turn_of(queue_.front_of(queue_.line_at(begun).bucket), queue_.key_of(begun));
  const auto room = device.vram_free();
  for (auto at : devices_.class_at(device.of_class).buckets) {
    const auto& front = queue_.front_of(at);
    const auto vram_mib = vram_in(device.of_class, at);
    if (front.empty || vram_mib <= room || vram_mib > device.vram_mib)
      continue;
    auto& record = queue_.bucket_at(at);
    if (record.passed_over != never || is_excluded(record.wanted, device))
      continue;
    auto next = queue_.first(front.shelf, front.work());
    if (next && turn_of(front, next->key) <= turn)
      record.passed_over = now_;
  }
}

index scheduler_core::occupy(const admitted& stage, index at, std::uint64_t attempt) {
  auto number = running_.add();
  auto& run = running_[number];
  run.stage = stage.stage;
  run.account = stage.account;
  run.bucket = stage.bucket;
  run.device = at;
  run.of_class = devices_.at(at).of_class;
  run.attempt = attempt;
  run.since = now_;
  run.may_run_twice = stage_at(stage.stage).may_run_twice;
  devices_.at(at).running.push_back({number, attempt});
  run.vram_mib = vram_in(run.of_class, stage.bucket);
  auto& own = queue_.bucket_at(stage.bucket);
  devices_.occupy(at, run.vram_mib);
  auto in_use = models_in_use(devices_.at(at));
  devices_.warm(at, {own.wanted.model, run.vram_mib, now_ + static_cast<timestamp>(load_ms(own.work, devices_.at(at)))},
                in_use, now_ - limits_.residency_min_ms);
  queue_.started(stage.account);
  ++own.running;
  return number;
}

// This attempt is from now on the one of which its job knows, or the first of two.
void scheduler_core::run_as(index stage, index run) {
  auto& record = stage_at(stage);
  running_[run].second = false;
  record.attempt = running_[run].attempt;
  record.runs = true;
  record.where = run;
  record.lost = false;
}

// The caller sees to the stage, and refreshes or offers the device.
void scheduler_core::vacate(index run) {
  auto own = running_[run];
  auto& bucket = queue_.bucket_at(own.bucket);
  auto& device = devices_.at(own.device);
  auto place = std::find_if(device.running.begin(), device.running.end(), [&](const auto& r) { return r.run == run; });
  TROUPE_CHECK(place != device.running.end());
  *place = device.running.back();
  device.running.pop_back();
  devices_.vacate(own.device, own.vram_mib);
  --bucket.running;
  running_.remove(run);
  if (queue_.ended(own.account, now_))
    queue_.unpark(own.account, now_, woken_);
}

} // namespace troupe::scheduling
