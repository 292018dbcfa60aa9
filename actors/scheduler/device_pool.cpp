#include "actors/scheduler/device_pool.hpp"

#include <algorithm>
#include <utility>

namespace troupe::scheduling {

namespace {

constexpr std::size_t classes_kept = 1'000;      // beyond, one without devices makes room for another
constexpr std::size_t failed_before_max = 4'096; // a node can invent names

} // namespace

bool device_class::offers(index kind) const { return std::binary_search(kinds.begin(), kinds.end(), kind); }

std::optional<standing> device_record::stands() const {
  if (!up)
    return std::nullopt;
  if (quarantined || distrusted)
    return standing::quarantined;
  if (draining)
    return standing::draining;
  if (!unclaimed.empty())
    return standing::reattaching;
  return reserved_for != none ? standing::reserved : standing::open;
}

const char* device_record::state() const {
  static constexpr const char* names[standings] = {"quarantined", "draining", "reattaching", "up", "up"};
  auto how = stands();
  return how ? names[static_cast<std::size_t>(*how)] : "lost";
}

index device_pool::find(const std::string& id) const {
  return by_id_.find(flat_index::hash_of(id), [&](index at) { return devices_[at].id == id; });
}

index device_pool::expect(const std::string& id) {
  auto at = find(id);
  if (at == none) {
    at = devices_.add();
    auto& record = devices_[at];
    record.id = id;
    by_id_.insert(flat_index::hash_of(id), at);
    if (auto before = failed_before_.extract(id)) {
      record.failed = before.mapped().in_a_row;
      record.failures = std::move(before.mapped().recent);
    }
  }
  return at;
}

const std::vector<index>& device_pool::devices_of_node(const std::string& node) const {
  static const std::vector<index> nothing;
  auto known = by_node_.find(node);
  return known == by_node_.end() ? nothing : known->second;
}

index device_pool::class_of(index type, std::vector<index> kinds, std::vector<std::uint32_t> needs) {
  for (index at = 0; at < classes_.size(); ++at)
    if (classes_[at].type == type && classes_[at].kinds == kinds && classes_[at].needs == needs)
      return at;
  auto deserted = [](const device_class& c) { return c.devices.empty(); };
  auto place =
      classes_.size() < classes_kept ? classes_.end() : std::find_if(classes_.begin(), classes_.end(), deserted);
  if (place == classes_.end())
    place = classes_.emplace(classes_.end());
  *place = {};
  place->type = type;
  place->kinds = std::move(kinds);
  place->needs = std::move(needs);
  return static_cast<index>(place - classes_.begin());
}

void device_pool::leave_class(index device) {
  auto& record = devices_[device];
  if (record.of_class == none)
    return;
  auto& own = classes_[record.of_class];
  if (record.has_room) {
    own.room.erase(record.room);
    for (const auto& warm : record.warm)
      warm_room_[warm.model].erase(record.room);
    record.has_room = false;
  }
  own.slots_up -= record.slots_counted;
  record.slots_counted = 0;
  count(record, std::nullopt);
  std::erase(own.devices, device);
  std::erase(by_node_[record.node], device);
  if (by_node_[record.node].empty())
    by_node_.erase(record.node);
  record.of_class = none;
}

void device_pool::describe(index device, const std::string& node, index type, std::vector<index> kinds,
                           std::vector<std::uint32_t> needs, std::uint32_t slots, std::uint32_t vram_mib) {
  leave_class(device);
  auto& record = devices_[device];
  record.of_class = class_of(type, std::move(kinds), std::move(needs));
  record.node = node;
  record.slots = slots;
  record.vram_mib = vram_mib;
  record.up = true;
  record.overfull = record.slots_used > slots || record.vram_used > vram_mib;
  classes_[record.of_class].devices.push_back(device);
  by_node_[node].push_back(device);
  refresh(device);
}

void device_pool::forget_if_empty(index device, timestamp now) {
  auto& record = devices_[device];
  if (record.up || record.quarantined || !record.running.empty())
    return;
  if (record.failed > 0 && failed_before_.size() < failed_before_max)
    failed_before_[record.id] = {record.failed, std::move(record.failures), now};
  leave_class(device);
  by_id_.erase(flat_index::hash_of(record.id), device);
  devices_.remove(device);
}

bool device_pool::forget_failures(const std::string& id) {
  failed_before_.erase(id);
  auto at = find(id);
  if (at == none)
    return false;
  auto& device = devices_[at];
  device.failed = 0;
  device.failures.clear();
  return std::exchange(device.quarantined, false);
}

void device_pool::forget_failures(timestamp latest) {
  std::erase_if(failed_before_, [&](const auto& known) { return known.second.dropped <= latest; });
}

void device_pool::count(device_record& device, std::optional<standing> now) {
  auto& before = device.counted_as;
  if (now == before)
    return;
  auto& by_size = classes_[device.of_class].by_size;
  auto& counts = by_size[device.vram_mib];
  if (before)
    --counts[static_cast<std::size_t>(*before)];
  if (now)
    ++counts[static_cast<std::size_t>(*now)];
  else if (std::all_of(counts.begin(), counts.end(), [](auto n) { return n == 0; }))
    by_size.erase(device.vram_mib);
  before = now;
}

void device_pool::refresh(index device) {
  auto& record = devices_[device];
  if (record.of_class == none)
    return;
  auto& own = classes_[record.of_class];
  own.slots_up -= record.slots_counted;
  record.slots_counted = record.takes_work() ? record.slots : 0;
  own.slots_up += record.slots_counted;
  count(record, record.stands());
  auto has_room = record.takes_work() && record.slots_free() > 0 && record.reserved_for == none;
  auto room = room_key{record.vram_free(), record.slots_used, device};
  if (has_room == record.has_room && (!has_room || room == record.room))
    return;
  if (record.has_room) {
    own.room.erase(record.room);
    for (const auto& warm : record.warm)
      warm_room_[warm.model].erase(record.room);
  }
  if (has_room) {
    own.room.insert(room);
    for (const auto& warm : record.warm)
      warm_room_[warm.model].insert(room);
  }
  record.has_room = has_room;
  record.room = room;
}

void device_pool::occupy(index device, std::uint32_t vram_mib) {
  auto& record = devices_[device];
  ++record.slots_used;
  record.vram_used += vram_mib;
}

void device_pool::vacate(index device, std::uint32_t vram_mib) {
  auto& record = devices_[device];
  TROUPE_CHECK(record.slots_used > 0 && record.vram_used >= vram_mib);
  --record.slots_used;
  record.vram_used -= vram_mib;
  record.overfull = record.overfull && (record.slots_used > record.slots || record.vram_used > record.vram_mib);
}

void device_pool::warm(index device, warm_model wanted, std::span<const index> in_use, timestamp settled) {
  auto& record = devices_[device];
  auto& warm = record.warm;
  auto forget = [&](auto which) {
    if (record.has_room)
      warm_room_[which->model].erase(record.room);
    warm.erase(which);
  };
  auto known = std::find_if(warm.begin(), warm.end(), [&](const auto& w) { return w.model == wanted.model; });
  if (known != warm.end()) {
    wanted.loaded = known->loaded;
    forget(known);
  }
  auto is_idle = [&](const auto& w) { return std::find(in_use.begin(), in_use.end(), w.model) == in_use.end(); };
  std::uint64_t held = record.vram_used;
  for (const auto& other : warm)
    held += is_idle(other) ? other.vram_mib : 0;
  auto is_full = [&] { return wanted.model != none && warm.size() >= warm_max_; };
  while (is_full() || held > record.vram_mib) {
    auto goes =
        std::find_if(warm.begin(), warm.end(), [&](const auto& w) { return is_idle(w) && w.loaded <= settled; });
    if (goes == warm.end())
      goes = std::find_if(warm.begin(), warm.end(), is_idle);
    if (goes == warm.end() && !is_full())
      break;
    if (goes == warm.end())
      goes = warm.begin();
    else
      held -= goes->vram_mib;
    forget(goes);
  }
  if (wanted.model == none)
    return;
  warm.push_back(wanted);
  if (record.has_room)
    warm_room_[wanted.model].insert(record.room);
}

void device_pool::go_down(index device) {
  auto& record = devices_[device];
  record.up = false;
  record.unclaimed.clear();
  refresh(device); // out of the index before the models are gone
  record.warm.clear();
}

bool device_pool::is_warm(const device_record& device, index model) const {
  return std::any_of(device.warm.begin(), device.warm.end(), [&](const auto& w) { return w.model == model; });
}

const std::set<room_key>* device_pool::warm_room(index model) const {
  auto known = warm_room_.find(model);
  return known == warm_room_.end() || known->second.empty() ? nullptr : &known->second;
}

void device_pool::check_invariants() const {
  std::vector<std::uint32_t> slots_up(classes_.size());
  std::vector<std::size_t> with_room(classes_.size());
  std::vector<decltype(device_class::by_size)> by_size(classes_.size());
  for (index at = 0; at < devices_.end(); ++at) {
    if (!devices_.used(at))
      continue;
    const auto& device = devices_[at];
    TROUPE_CHECK(find(device.id) == at);
    TROUPE_CHECK(device.slots_used == device.running.size());
    if (device.up)
      TROUPE_CHECK(device.overfull || (device.slots_used <= device.slots && device.vram_used <= device.vram_mib));
    auto has_room = device.takes_work() && device.slots_free() > 0 && device.reserved_for == none;
    TROUPE_CHECK(device.has_room == has_room);
    if (device.of_class == none)
      continue;
    slots_up[device.of_class] += device.takes_work() ? device.slots : 0;
    if (auto how = device.stands())
      ++by_size[device.of_class][device.vram_mib][static_cast<std::size_t>(*how)];
    if (!has_room)
      continue;
    ++with_room[device.of_class];
    TROUPE_CHECK(classes_[device.of_class].room.contains(room_key{device.vram_free(), device.slots_used, at}));
    for (const auto& warm : device.warm)
      TROUPE_CHECK(warm_room_.at(warm.model).contains(device.room));
  }
  TROUPE_CHECK(failed_before_.size() <= failed_before_max);
  for (const auto& [id, failures] : failed_before_)
    TROUPE_CHECK(find(id) == none && failures.in_a_row > 0);
  for (index at = 0; at < classes_.size(); ++at)
    TROUPE_CHECK(classes_[at].slots_up == slots_up[at] && classes_[at].room.size() == with_room[at] &&
                 classes_[at].by_size == by_size[at]);
}

} // namespace troupe::scheduling
