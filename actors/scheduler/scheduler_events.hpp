#pragma once

// What the scheduler can be told and what it answers. Plain values: no actor, socket, clock or disk.

#include "common/clock.hpp"
#include "common/ids.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace troupe::scheduling {

/// One stage of one job: what waits, runs and ends.
struct stage_ref {
  job_id job;
  std::uint32_t stage = 0; // index in the run
  friend auto operator<=>(const stage_ref&, const stage_ref&) = default;
};

/// How soon a stage is wanted. It shifts when an account's stages run, never how much the account gets.
enum class priority_class : std::uint8_t { interactive, standard, preemptible };
inline constexpr std::size_t class_count = 3;

/// How an attempt ended. Only `device_fault` is held against the device.
enum class outcome : std::uint8_t {
  ok,
  bad_input,
  out_of_memory,
  device_fault,
  cancelled,
  timed_out,
  unknown,
  unsuited // the device is well, but not for this stage
};

/// What a stage asks for.
struct stage_request {
  stage_ref ref;
  account_id account;
  std::uint32_t weight = 1;         // of the account, by its tier; 1 … 1,000,000
  std::string kind;                 // operation, "scene.video"
  std::string model;                // what should be warm; may be empty
  std::uint32_t vram_mib = 0;       // at least; a device may need more for the kind
  std::uint32_t estimate_ms = 1000; // on one device; used until the run times of (kind, model, device type) are learned
  priority_class priority = priority_class::standard;
  std::uint64_t attempt_base = 0;  // the highest attempt the job has seen: the next one is above it
  std::vector<device_id> excluded; // devices that failed this stage
  std::vector<device_id> outgrown; // of these, on which it ran out of memory
  std::vector<node_id> near;       // nodes that hold its inputs
  bool may_run_twice = false;      // as a straggler, on an idle device: its work has no effect but its result
  friend bool operator==(const stage_request&, const stage_request&) = default;
};

// -- what can happen --------------------------------------------------------------------------------------------------

/// An attempt that a device says it is still running, or has the result of and tells next.
struct held_attempt {
  stage_ref ref;
  std::uint64_t attempt = 0;
};

/// Of a device whose memory is not counted, in MiB.
inline constexpr std::uint32_t vram_unbounded = 1u << 30;

/// A device can work, or says anew what it is (a node that reconnects): what runs on it goes on. What it holds is taken
/// back where the stage waits here; else the device gets nothing new until each is claimed (stage_running), has ended
/// (stage_ended), or limits::reattach_ms have passed. Whether it drains is said anew, too; a quarantine after failures
/// goes on.
struct device_up {
  device_id device;
  node_id node;
  std::string type; // "cpu/AMD EPYC 9354", "cuda/NVIDIA H200": run times are learned by it
  std::vector<std::string> kinds;
  std::uint32_t slots = 1;
  std::uint32_t vram_mib = 0;
  std::vector<held_attempt> running = {};
  std::uint64_t session = 0; // another one after each device_down; a start says for which it was decided
  std::uint64_t hello = 0;   // rises; what ended after it, and is held all the same, is held no more
  bool draining = false;     // as device_drain
  bool quarantined = false;  // as in device_drain
  std::map<std::string, std::uint32_t> needs = {}; // MiB of VRAM that a stage of a kind takes there; 0 where not named
};
/// The device is lost: what ran there waits again, first in its account's line.
struct device_down {
  device_id device;
};
/// It gets nothing new; what runs finishes. Of a device that is not there nothing is kept: device_up says it.
struct device_drain {
  device_id device;
  bool quarantined = false; // it is drained because the operator does not trust it
  bool forgiven = false;    // the operator enabled it, and its node drains: as device_enable, of what failed on it
};
/// Ends a drain or a quarantine, also one after failures.
struct device_enable {
  device_id device;
};
/// A stage may run. Told twice, it counts once.
struct stage_queued {
  stage_request stage;
};
/// Nobody wants the stage any more. Where it runs, a `stop` goes out and the slot is free when it has ended. An attempt
/// of a later number is not meant: the stage was wanted again before this was heard.
struct stage_withdrawn {
  stage_ref ref;
  std::uint64_t up_to = std::numeric_limits<std::uint64_t>::max(); // attempt
};
/// An attempt ended; the stage leaves the scheduler, whatever the outcome: its job decides what is next.
struct stage_ended {
  stage_ref ref;
  std::uint64_t attempt = 0;
  device_id device;
  outcome how = outcome::ok;
  std::uint32_t run_ms = 0;      // of the engine, with the loading of its model: what is charged
  std::uint64_t hello = 0;       // the last one of the device that is known to whoever says this
  std::int64_t transfer_ms = -1; // that bringing its inputs took before; -1: not known
};
/// After a restart or a cut link: this attempt still runs there. The device may be told of later; told of before,
/// without saying what it holds, it may be given other work first.
struct stage_running {
  stage_request stage;
  device_id device;
  std::uint64_t attempt = 0;
};
/// Time passes; about once a second.
struct tick {};

using event = std::variant<device_up, device_down, device_drain, device_enable, stage_queued, stage_withdrawn,
                           stage_ended, stage_running, tick>;

// -- what must be done ------------------------------------------------------------------------------------------------

struct start {
  stage_ref ref;
  device_id device;
  std::uint64_t attempt = 0; // rises with each start, over restarts too
  bool second = false;       // beside an attempt that takes too long; the first result wins
  std::uint64_t session = 0; // of the device; in another one it is no more, and `moved` says so
};
/// Break the attempt off: withdrawn, preempted, or another attempt counts. Answered by stage_ended.
struct stop {
  stage_ref ref;
  device_id device;
  std::uint64_t attempt = 0;
};
/// The device was lost under this attempt and the stage waits again, until its job, which counts losses, withdraws it.
/// Until its next `start` this attempt is still the stage's current one: its device may come back with it
/// (stage_running) or with its end (stage_ended).
struct moved {
  stage_ref ref;
  device_id device;
  std::uint64_t attempt = 0;
};
/// The stage is not, or no longer, in the scheduler.
/// Codes: `queue_full`, `account_queue_full`, `stopping` (its withdrawn attempt has not ended yet), `invalid`.
struct reject {
  stage_ref ref;
  std::string code;
  std::string reason;              // for a person
  std::int64_t retry_after_ms = 0; // 0: unknown
};
/// A quarantine after failures begins.
struct quarantined {
  device_id device;
  std::string reason;
};
/// It ends.
struct released {
  device_id device;
  bool by_time = false; // then the first failure brings it back; else it is the operator's word
};

using command = std::variant<start, stop, moved, reject, quarantined, released>;

/// What the scheduler holds at most, and how it weighs. These are the defaults; what an operator can set is under
/// [scheduler] in cluster.conf.
struct limits {
  std::uint32_t queue_max = 1'000'000;
  std::uint32_t queue_per_account = 10'000;
  std::uint32_t in_flight_per_account = 64;
  std::uint32_t failures_to_quarantine = 3;
  std::int64_t quarantine_ms = 600'000;       // 0: until enabled
  std::int64_t reattach_ms = 30'000;          // how long a device that is only heard of keeps its stages
  std::int64_t account_memory_ms = 3'600'000; // how long an idle account's use is remembered
  std::int64_t interactive_lead_ms = 10'000;  // how far ahead of its turn, in device time by weight
  std::int64_t preemptible_lag_ms = 30'000;   // how far behind
  std::int64_t warm_lead_ms = 2'000;          // how far a warm model may jump the queue
  std::int64_t warm_run_max_ms = 120'000;     // for so much device time before its other stages, within an account
  std::int64_t residency_min_ms = 5'000;      // a model stays so long once it is loaded, while others can make room
  std::int64_t aging_after_ms = 120'000;      // who waits longer …
  std::uint32_t aging_period = 64;            // … is served first in one of so many starts
  /// Of the device time of machines of one kind, what stages of each class get at least while some wait, whatever the
  /// turns of their accounts: interactive, standard, preemptible.
  std::array<double, class_count> class_shares_min = {0.10, 0.10, 0.05};
  std::int64_t reserve_after_ms = 60'000; // who waits longer for VRAM gets a device reserved
  std::uint32_t warm_models_max = 8;      // remembered by device
  std::int64_t preempt_after_ms = 2'000; // a stage of another class waits so long before it stops a preemptible one …
  std::int64_t preempt_run_min_ms = 5'000;   // … that has run so long …
  std::uint32_t preemptions_max = 3;         // … and was not stopped so often before
  double straggler_factor = 2.0;             // a stage that runs so many times its mean …
  double straggler_deviations = 4.0;         // … and so many mean deviations above it …
  std::int64_t straggler_run_min_ms = 5'000; // … and at least so long is a straggler
  double stragglers_share_max = 0.10;        // of the slots of a class of devices, for second attempts
  friend bool operator==(const limits&, const limits&) = default;
};

} // namespace troupe::scheduling
