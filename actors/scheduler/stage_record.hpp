#pragma once

// What is kept of a stage: one cache line while it waits, as there may be a million, and another while it runs, as
// those are few and looked at often.

#include "actors/scheduler/account_order.hpp"
#include "actors/scheduler/scheduler_events.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string_view>

namespace troupe::scheduling {

/// The name of a job in 28 bytes: ids are 26 characters long. A longer one lies elsewhere.
class short_name {
public:
  short_name() = default;
  explicit short_name(std::string_view name) {
    if (name.size() <= inline_max) {
      std::copy(name.begin(), name.end(), bytes_.begin());
      size_ = static_cast<std::uint8_t>(name.size());
    } else {
      auto* far = new std::string(name);
      std::memcpy(bytes_.data(), &far, sizeof far);
      size_ = lies_far;
    }
  }
  short_name(short_name&& other) noexcept { swap(other); }
  short_name& operator=(short_name&& other) noexcept {
    short_name taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~short_name() {
    if (size_ == lies_far)
      delete far();
  }
  std::string_view view() const {
    return size_ == lies_far ? std::string_view(*far()) : std::string_view(bytes_.data(), size_);
  }

private:
  static constexpr std::size_t inline_max = 27;
  static constexpr std::uint8_t lies_far = UINT8_MAX;
  std::string* far() const {
    std::string* out = nullptr;
    std::memcpy(&out, bytes_.data(), sizeof out);
    return out;
  }
  void swap(short_name& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
  }
  std::array<char, inline_max> bytes_{};
  std::uint8_t size_ = 0;
};

struct alignas(64) stage_record {
  short_name job;
  std::uint32_t stage = 0;
  std::uint64_t attempt = 0; // the last one; also above what its job has seen
  index where = none;        // its account's line in its bucket while it waits, its running_record while it runs
  index next = none, previous = none; // in the line
  std::uint32_t number = 0;           // rises along the line; for positions
  std::uint32_t estimate_ms = 0;
  bool runs : 1 = false;
  bool lost : 1 = false; // waits, but its last attempt may still report
  bool may_run_twice : 1 = false;
};
static_assert(sizeof(stage_record) == 64);

/// A stage that runs. What its end needs lies here, so that the stage itself is looked at once, to be forgotten.
struct alignas(64) running_record {
  index stage = none; // none: another attempt had the stage's result first, and this one is being stopped
  index account = none;
  index bucket = none;
  index device = none;
  index of_class = none; // the device's when it was charged
  index twin = none;     // the stage's other attempt, if it has two
  bool withdrawn : 1 = false;
  bool reattached : 1 = false; // it ran already when it was heard of
  bool preempted : 1 = false;  // it is being stopped for another
  bool second : 1 = false;     // it was started beside another
  bool cold : 1 = false;       // its model was not loaded there
  bool far : 1 = false;        // its inputs lay elsewhere
  bool may_run_twice : 1 = false;
  bool doubled : 1 = false; // it was a straggler, and another was started beside it
  std::uint64_t attempt = 0;
  timestamp since = 0;
  virtual_time charged = 0;   // to the account when it was started
  std::uint32_t vram_mib = 0; // that it holds there
};
static_assert(sizeof(running_record) == 64);

} // namespace troupe::scheduling
