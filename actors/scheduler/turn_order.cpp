#include "actors/scheduler/turn_order.hpp"

#include <algorithm>
#include <bit>

namespace troupe::scheduling {

namespace {

constexpr unsigned digit_bits = 4;
constexpr std::uint64_t sign = std::uint64_t{1} << 63; // turned over, so that negative keys come first

} // namespace

std::size_t turn_order::slot_of(virtual_time key) const {
  auto ordered = static_cast<std::uint64_t>(key) ^ sign;
  auto differs = ordered ^ static_cast<std::uint64_t>(base_) ^ sign;
  auto digit = static_cast<unsigned>(std::bit_width(differs | 1) - 1) / digit_bits;
  return digit * digits + (ordered >> digit * digit_bits) % digits;
}

std::size_t turn_order::lowest_slot() const {
  auto slot = std::find_if(slots_.begin(), slots_.end(), [](const auto& s) { return !s.empty(); });
  TROUPE_CHECK(slot != slots_.end());
  return static_cast<std::size_t>(slot - slots_.begin());
}

const turn& turn_order::least() const {
  if (!near_.empty())
    return near_.front();
  const auto& slot = slots_[lowest_slot()];
  return *std::min_element(slot.begin(), slot.end(), [](const auto& a, const auto& b) { return a.before(b); });
}

void turn_order::insert(const turn& t, turn_places& places) {
  if (size_++ == 0) {
    base_ = t.key;
    near_last_ = t;
  }
  if (!is_near(t)) {
    file(t, places);
    return;
  }
  near_.push_back(t);
  sift_up(near_.size() - 1, places);
}

void turn_order::remove(index entry, turn_places& places) {
  auto place = std::exchange(places[entry], turn_place{});
  auto& from = place.slot == near_slot ? near_ : slots_[place.slot];
  auto last = from.back();
  from.pop_back();
  --size_;
  if (place.at == from.size())
    return;
  from[place.at] = last;
  places[last.entry].at = place.at;
  if (place.slot == near_slot) {
    sift_up(place.at, places);
    sift_down(places[last.entry].at, places);
  }
}

void turn_order::replace(const turn& t, turn_places& places) {
  auto place = places[t.entry];
  if (place.slot == near_slot && is_near(t)) {
    near_[place.at] = t;
    sift_up(place.at, places);
    sift_down(places[t.entry].at, places);
  } else if (place.slot != near_slot && !is_near(t) && slot_of(t.key) == place.slot) {
    slots_[place.slot][place.at] = t;
  } else {
    remove(t.entry, places);
    insert(t, places);
  }
}

// -- slots ------------------------------------------------------------------------------------------------------------

void turn_order::file(const turn& t, turn_places& places) {
  auto slot = slot_of(t.key);
  if (slots_.size() <= slot)
    slots_.resize(slot + 1);
  places[t.entry] = {static_cast<index>(slots_[slot].size()), static_cast<std::uint32_t>(slot)};
  slots_[slot].push_back(t);
}

// The first so many of what was opened become the heap, and the others go back.
void turn_order::bring_near(std::size_t count, turn_places& places) {
  auto before = [](const turn& a, const turn& b) { return a.before(b); };
  auto end = opened_.begin() + static_cast<std::ptrdiff_t>(count);
  if (end != opened_.end())
    std::nth_element(opened_.begin(), end, opened_.end(), before);
  for (auto t = opened_.begin(); t != end; ++t) {
    if (near_last_.before(*t))
      near_last_ = *t;
    near_.push_back(*t);
    sift_up(near_.size() - 1, places);
  }
  for (auto t = end; t != opened_.end(); ++t)
    file(*t, places);
}

// What was opened goes into finer slots: all lie in one, so they differ from the least of them in lower bits only, and
// from the others in the same bit as before.
void turn_order::split(turn_places& places) {
  base_ =
      std::min_element(opened_.begin(), opened_.end(), [](const auto& a, const auto& b) { return a.key < b.key; })->key;
  near_last_ = {base_ - 1};
  for (const auto& t : opened_)
    file(t, places);
}

// -- the heap ---------------------------------------------------------------------------------------------------------

void turn_order::set(std::size_t at, const turn& t, turn_places& places) {
  near_[at] = t;
  places[t.entry] = {static_cast<index>(at), near_slot};
}

void turn_order::sift_up(std::size_t at, turn_places& places) {
  auto t = near_[at];
  for (; at > 0; at = (at - 1) / 4) {
    const auto& parent = near_[(at - 1) / 4];
    if (!t.before(parent))
      break;
    set(at, parent, places);
  }
  set(at, t, places);
}

void turn_order::sift_down(std::size_t at, turn_places& places) {
  auto t = near_[at];
  for (;;) {
    auto first = at * 4 + 1;
    if (first >= near_.size())
      break;
    auto least = first;
    for (auto child = first + 1; child < std::min(first + 4, near_.size()); ++child)
      if (near_[child].before(near_[least]))
        least = child;
    if (!near_[least].before(t))
      break;
    set(at, near_[least], places);
    at = least;
  }
  set(at, t, places);
}

// -- promises ---------------------------------------------------------------------------------------------------------

void turn_order::check_invariants(const turn_places& places) const {
  auto size = near_.size();
  for (std::size_t i = 0; i < near_.size(); ++i) {
    TROUPE_CHECK(places[near_[i].entry].slot == near_slot && places[near_[i].entry].at == i);
    TROUPE_CHECK(is_near(near_[i]) && (i == 0 || !near_[i].before(near_[(i - 1) / 4])));
  }
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    size += slots_[slot].size();
    for (std::size_t i = 0; i < slots_[slot].size(); ++i) {
      const auto& t = slots_[slot][i];
      TROUPE_CHECK(places[t.entry].slot == slot && places[t.entry].at == i);
      TROUPE_CHECK(!is_near(t) && t.key >= base_ && slot_of(t.key) == slot);
    }
  }
  TROUPE_CHECK(size == size_);
}

} // namespace troupe::scheduling
