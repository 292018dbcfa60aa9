#pragma once

// What other actors may say to the scheduler. Its words (stage_request, outcome, …) are the core's own.

#include "actors/directory/directory_messages.hpp"
#include "actors/scheduler/scheduler_events.hpp"

namespace troupe::scheduling {

NLOHMANN_JSON_SERIALIZE_ENUM(priority_class, {{priority_class::interactive, "interactive"},
                                              {priority_class::standard, "standard"},
                                              {priority_class::preemptible, "preemptible"}})
NLOHMANN_JSON_SERIALIZE_ENUM(outcome, {{outcome::ok, "ok"},
                                       {outcome::bad_input, "bad_input"},
                                       {outcome::out_of_memory, "out_of_memory"},
                                       {outcome::device_fault, "device"},
                                       {outcome::cancelled, "cancelled"},
                                       {outcome::timed_out, "timeout"},
                                       {outcome::unknown, "unknown"},
                                       {outcome::unsuited, "unsuited"}})
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(stage_ref, job, stage)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(stage_request, ref, account, weight, kind, model, vram_mib, estimate_ms,
                                                priority, attempt_base, excluded, outgrown, near, may_run_twice)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(held_attempt, ref, attempt)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(device_up, device, node, type, kinds, slots, vram_mib, running, session,
                                                hello, draining, quarantined, needs)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(stage_withdrawn, ref, up_to)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(stage_ended, ref, attempt, device, how, run_ms, hello, transfer_ms)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(stage_running, stage, device, attempt)

} // namespace troupe::scheduling

namespace troupe {

/// From a job: these stages may run.
struct queue_stages {
  std::vector<scheduling::stage_request> stages;
};
TROUPE_MESSAGE(queue_stages, stages)

/// From a job: nobody wants these any more. What runs is stopped.
struct withdraw_stages {
  std::vector<scheduling::stage_withdrawn> stages;
};
TROUPE_MESSAGE(withdraw_stages, stages)

/// From a device: an attempt ended and its slot is free.
struct attempt_over {
  scheduling::stage_ended what;
};
TROUPE_MESSAGE(attempt_over, what)

/// From a job: after a restart or a cut link this attempt still runs.
struct attempt_goes_on {
  scheduling::stage_running what;
};
TROUPE_MESSAGE(attempt_goes_on, what)

/// From the cluster.
struct device_joined {
  scheduling::device_up what;
};
TROUPE_MESSAGE(device_joined, what)
struct device_left {
  std::string device;
};
TROUPE_MESSAGE(device_left, device)

/// From the cluster: what the operator wants of a device: `enabled`, `draining` or `quarantined`. `forgiven`: it or its
/// node was enabled, so that a quarantine after failures is over, whatever else holds it back.
struct device_wanted {
  std::string device;
  std::string state;
  bool forgiven = false;
};
TROUPE_MESSAGE(device_wanted, device, state, forgiven)
/// To the cluster: why a device is quarantined after failures; "" when that is over.
struct device_quarantined {
  std::string device;
  std::string why;
};
TROUPE_MESSAGE(device_quarantined, device, why)
/// The devices as the scheduler sees them; answered by {"<device>": {"status", "running", "reason"}}.
struct list_placement {
  std::string why;
};
TROUPE_MESSAGE(list_placement, why)

/// Why stages of a job wait; answered by {"<stage>": {"code", "reason", "position", "eta_ms"}}.
struct explain_waiting {
  std::string job;
  std::vector<std::uint32_t> stages;
};
TROUPE_MESSAGE(explain_waiting, job, stages)

/// The queue as an account sees it; answered by {"length", "running", "account_waiting", "account_running"}.
struct read_queue {
  std::string account;
};
TROUPE_MESSAGE(read_queue, account)

/// Whether a stage more of the account would find a place; answered by {} where it would, else by
/// {"code", "reason", "retry_after_s"}.
struct ask_admission {
  std::string account;
};
TROUPE_MESSAGE(ask_admission, account)

struct scheduler_tick {
  timestamp at = 0;
};
TROUPE_MESSAGE(scheduler_tick, at)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_scheduler, caf::id_block::troupe_directory::end)
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::queue_stages))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::withdraw_stages))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::attempt_over))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::attempt_goes_on))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::device_joined))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::device_left))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::explain_waiting))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::read_queue))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::scheduler_tick))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::device_wanted))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::list_placement))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::ask_admission))
CAF_ADD_TYPE_ID(troupe_scheduler, (troupe::device_quarantined))
CAF_END_TYPE_ID_BLOCK(troupe_scheduler)
