#include "actors/scheduler/turn_order.hpp"

#include <algorithm>
#include <bit>

namespace troupe::scheduling {

namespace {

constexpr std::uint64_t sign = std::uint64_t{1} << 63; // turned over, so that negative keys come first

} // namespace

std::size_t turn_order::slot_of(virtual_time key) const {
  auto ordered = static_cast<std::uint64_t>(key) ^ sign;
  auto differs = ordered ^ static_cast<std::uint64_t>(base_) ^ sign;
  auto digit = static_cast<unsigned>(std::bit_width(differs | 1) - 1) / digit_bits;
  return digit * digits + (ordered >> digit * digit_bits) % digits;
}

std::size_t turn_order::lowest_slot() const {
  auto word = std::find_if(filled_.begin(), filled_.end(), [](auto bits) { return bits != 0; });
  TROUPE_CHECK(word != filled_.end());
  return static_cast<std::size_t>(word - filled_.begin()) * 64 + static_cast<std::size_t>(std::countr_zero(*word));
}

const turn& turn_order::least() const {
  if (!near_.empty())
    return near_.back();
  const auto& lowest = slot_at(lowest_slot());
  return *std::min_element(lowest.begin(), lowest.end(), [](const auto& a, const auto& b) { return a.before(b); });
}

void turn_order::insert(const turn& t) {
  if (size_++ == 0) {
    base_ = t.key;
    near_last_ = t;
  }
  if (!is_near(t) && near_.size() + 1 == size_ && near_.size() < near_max)
    near_last_ = t; // a short order is all in the list
  if (!is_near(t)) {
    file(t);
    return;
  }
  near_.insert(std::upper_bound(near_.begin(), near_.end(), t, later), t);
  if (near_.size() > 4 * near_max)
    shorten();
}

// -- slots ------------------------------------------------------------------------------------------------------------

void turn_order::file(const turn& t) {
  auto number = slot_of(t.key);
  if (!slots_[number / digits])
    slots_[number / digits] = std::make_unique<std::array<slot, digits>>();
  slot_at(number).push_back(t);
  filled_[number / 64] |= std::uint64_t{1} << number % 64;
}

// The first so many of what was opened become the list, and the others go back.
void turn_order::bring_near(std::size_t count) {
  auto before = [](const turn& a, const turn& b) { return a.before(b); };
  auto end = opened_.begin() + static_cast<std::ptrdiff_t>(count);
  if (end != opened_.end())
    std::nth_element(opened_.begin(), end, opened_.end(), before);
  near_.assign(opened_.begin(), end);
  std::sort(near_.begin(), near_.end(), later);
  if (!near_.empty() && near_last_.before(near_.front()))
    near_last_ = near_.front();
  for (auto t = end; t != opened_.end(); ++t)
    file(*t);
}

// What was opened goes into finer slots: all lie in one, so they differ from the least of them in lower bits only, and
// from the others in the same bit as before.
void turn_order::split() {
  base_ =
      std::min_element(opened_.begin(), opened_.end(), [](const auto& a, const auto& b) { return a.key < b.key; })->key;
  near_last_ = {base_ - 1};
  for (const auto& t : opened_)
    file(t);
}

// Many have come in front: the later ones of them go into the slots. Where those begin above them, all begins anew,
// once for each time that they outnumber what lies there.
void turn_order::shorten() {
  auto keep = near_.end() - static_cast<std::ptrdiff_t>(near_max);
  auto filed = size_ - near_.size();
  if (keep->key < base_) {
    if (near_.size() < filed)
      return;
    opened_.assign(near_.begin(), keep);
    for_each_filled([this](std::size_t number) {
      opened_.insert(opened_.end(), slot_at(number).begin(), slot_at(number).end());
      slot_at(number).clear();
    });
    filled_ = {};
    near_.erase(near_.begin(), keep);
    auto last = near_.front();
    split();
    near_last_ = last;
    return;
  }
  std::for_each(near_.begin(), keep, [this](const turn& t) { file(t); });
  near_.erase(near_.begin(), keep);
  near_last_ = near_.front();
}

// -- promises ---------------------------------------------------------------------------------------------------------

void turn_order::check_invariants() const {
  auto size = near_.size();
  TROUPE_CHECK(std::is_sorted(near_.begin(), near_.end(), later));
  TROUPE_CHECK(near_.empty() || is_near(near_.front()));
  for (std::size_t number = 0; number < digits * digits_of_key; ++number) {
    auto empty = !slots_[number / digits] || slot_at(number).empty();
    TROUPE_CHECK(is_filled(number) == !empty);
    if (empty)
      continue;
    size += slot_at(number).size();
    for (const auto& t : slot_at(number))
      TROUPE_CHECK(!is_near(t) && t.key >= base_ && slot_of(t.key) == number);
  }
  TROUPE_CHECK(size == size_);
}

} // namespace troupe::scheduling
