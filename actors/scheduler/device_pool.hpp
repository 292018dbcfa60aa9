#pragma once

// What the cluster can do: devices with their slots, VRAM and warm models, in classes of equal type and kinds, and an
// index of those that have room, by tightest fit.

#include "actors/scheduler/fair_queue.hpp"

#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace troupe::scheduling {

struct warm_model {
  index model = none;
  std::uint32_t vram_mib = 0;
  timestamp loaded = 0; // from when on, as far as is known
};

/// What runs on a device: the number of its running_record, and its attempt.
struct running_here {
  index run = none;
  std::uint64_t attempt = 0;
};

/// A recent failure: a hash of its job's id, and its model's number.
struct device_failure {
  flat_index::hash job = 0;
  index model = none;
};

/// Devices with room, tightest first: free VRAM, slots in use, device.
using room_key = std::tuple<std::uint32_t, std::uint32_t, index>;

/// How a device that is up stands to work that it is large enough for; the first that is true.
enum class standing : std::uint8_t { quarantined, draining, reattaching, reserved, open };
constexpr std::size_t standings = 5;

struct alignas(64) device_record { // what a decision looks at comes first
  index of_class = none;           // none: only heard of, by what runs on it
  std::uint32_t slots = 0;
  std::uint32_t slots_used = 0;
  std::uint32_t vram_mib = 0;
  std::uint64_t vram_used = 0; // more than there is, where a node says that it runs so much
  index reserved_for = none;   // bucket
  std::uint32_t failed = 0;    // in a row
  bool up = false;
  bool draining = false;
  bool quarantined = false; // after failures
  bool distrusted = false;  // it drains because the operator does not trust it
  std::uint64_t session = 0;
  bool overfull = false; // it shrank, or came back with more than it has: nothing was started above its room
  bool has_room = false; // it is in the index, under `room`
  std::uint64_t done = 0;
  std::vector<held_attempt> unclaimed; // what it says it runs and nobody here knows; it gets nothing new meanwhile
  boost::container::small_vector<running_here, 2> running;
  boost::container::small_vector<warm_model, 4> warm; // most recently used last
  std::string id;
  room_key room;
  std::uint32_t slots_counted = 0;    // in its class's slots_up
  std::optional<standing> counted_as; // in its class's by_size
  timestamp quarantined_at = 0;
  timestamp expected_since = 0; // when it was first heard of without being up
  timestamp unclaimed_since = 0;
  std::vector<device_failure> failures;
  std::string node;

  std::uint32_t slots_free() const { return slots > slots_used ? slots - slots_used : 0; }
  std::uint32_t vram_free() const {
    return vram_mib > vram_used ? static_cast<std::uint32_t>(vram_mib - vram_used) : 0;
  }
  /// Empty when it is not up.
  std::optional<standing> stands() const;
  /// "lost", "quarantined", "draining", "reattaching" or "up".
  const char* state() const;
  bool is_trusted() const { return !draining && !quarantined; }
  bool takes_work() const { return up && is_trusted() && unclaimed.empty(); }
  bool fits(std::uint32_t vram) const { return slots_free() > 0 && vram_free() >= vram; }
};

/// Devices of equal type and kinds, on which stages of a kind need as much VRAM.
struct device_class {
  index type = none;
  std::vector<index> kinds;         // sorted
  std::vector<std::uint32_t> needs; // MiB, by kind; 0 of those that are not in it
  std::vector<index> devices;       // up or down
  std::vector<index> buckets;       // with waiting stages that it can serve
  std::vector<index> pools;         // of its kinds, of those that were ever asked for
  std::set<room_key> room;
  std::uint32_t reservations = 0;
  std::uint32_t slots_up = 0; // of devices that take work
  /// How many of its devices that are up stand how, by their VRAM in MiB: why a stage waits is told from these.
  std::map<std::uint32_t, std::array<std::uint32_t, standings>> by_size;
  /// Expected device time of the last few hundred starts, by priority class: halved now and then.
  std::array<double, 3> recent_ms{};
  std::uint32_t recent_starts = 0;
  std::uint32_t turns = 0; // starts on devices that got room, since one was for who had waited longest
  bool offers(index kind) const;
  /// MiB that a stage of the kind takes here which asks for so much itself.
  std::uint32_t need(index kind, std::uint32_t asked_mib) const {
    return kind < needs.size() ? std::max(needs[kind], asked_mib) : asked_mib;
  }
};

class device_pool {
public:
  explicit device_pool(std::uint32_t warm_max) : warm_max_(warm_max) {}

  index find(const std::string& id) const;
  /// Finds it or makes a record that is not up, with the failures that are remembered of it.
  index expect(const std::string& id);
  device_record& at(index device) { return devices_[device]; }
  const device_record& at(index device) const { return devices_[device]; }
  const slab<device_record>& devices() const { return devices_; }
  device_class& class_at(index of_class) { return classes_[of_class]; }
  const std::vector<device_class>& classes() const { return classes_; }
  const std::vector<index>& devices_of_node(const std::string& node) const;

  /// What the device is from now on. `kinds` sorted and without repeats, `needs` as in its class.
  void describe(index device, const std::string& node, index type, std::vector<index> kinds,
                std::vector<std::uint32_t> needs, std::uint32_t slots, std::uint32_t vram_mib);
  /// It takes no work and has nothing warm any more.
  void go_down(index device);
  /// Drops a record that is down and empty, unless it is quarantined: that must outlive a reconnect. So must failures:
  /// they are remembered apart, of a few thousand devices at most.
  void forget_if_empty(index device, timestamp now);
  /// Of one device, whether it has a record or not. True where they had brought it a quarantine, which is over.
  bool forget_failures(const std::string& id);
  /// Of devices whose record was dropped at `latest` or before.
  void forget_failures(timestamp latest);
  /// Brings the index up to date with the record. Call after each change of a device.
  void refresh(index device);

  /// A stage begins or ends on it.
  void occupy(index device, std::uint32_t vram_mib);
  void vacate(index device, std::uint32_t vram_mib);
  /// A stage begins there whose model, if it has one, is loaded from then on. Where VRAM or the count runs out, others
  /// are forgotten that no stage is using: those loaded before `settled` first, of these the least recently used.
  void warm(index device, warm_model wanted, std::span<const index> in_use, timestamp settled);
  bool is_warm(const device_record& device, index model) const;
  /// Devices with room that have the model warm; null when there are none.
  const std::set<room_key>* warm_room(index model) const;

  void check_invariants() const;

private:
  index class_of(index type, std::vector<index> kinds, std::vector<std::uint32_t> needs);
  void leave_class(index device);
  void count(device_record& device, std::optional<standing> now);

  std::uint32_t warm_max_;
  slab<device_record> devices_;
  flat_index by_id_;
  std::vector<device_class> classes_; // few: they are the shapes of machines
  std::unordered_map<std::string, std::vector<index>> by_node_;
  struct past_failures {
    std::uint32_t in_a_row = 0;
    std::vector<device_failure> recent;
    timestamp dropped = 0;
  };
  std::unordered_map<std::string, past_failures> failed_before_; // devices that have no record
  std::unordered_map<index, std::set<room_key>> warm_room_;
};

} // namespace troupe::scheduling
