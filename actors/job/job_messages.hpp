#pragma once

// What may be said to a job: by its owner, by the scheduler, and by the device that runs one of its stages.

#include "actors/scheduler/scheduler_messages.hpp"
#include "gpu/wire/messages.hpp"
#include "workflows/plan.hpp"

namespace troupe {

struct submitted_job {
  std::string job;
  micro_credits held = 0;
  micro_credits balance = 0;
};
TROUPE_MESSAGE(submitted_job, job, held, balance)

/// Makes a job: holds its price and stores it, in one batch, then queues its first stages.
/// Errors: insufficient_credits (cost, balance), spend_limit_exceeded (cost, key_balance), exists, invalid,
/// unavailable.
struct submit_job {
  static constexpr actor_kind to = actor_kind::job;
  using reply = submitted_job;
  std::string job, account;
  std::uint32_t weight = 1;         // of the account's tier in the fair queue
  std::uint64_t generation = 0;     // its number in the owner's history
  std::string workflow, definition; // name, and content hash
  std::uint32_t version = 1;
  json inputs = json::object();
  workflow::plan_ptr plan;
  std::uint64_t feed_before = 0; // id of the last entry in the account's log before the job's first
  std::string period;            // of the monthly allowance, given before the hold if it is due
  micro_credits allowance = 0;
  std::vector<storage::row> rows; // written with it: what says that the request was worked on
  timestamp at = 0;
  std::string key;             // id of the API key that asks; empty with a session
  micro_credits key_limit = 0; // what that key may spend in all; 0: no limit
};
TROUPE_MESSAGE(submit_job, job, account, weight, generation, workflow, definition, version, inputs, plan, feed_before,
               period, allowance, rows, at, key, key_limit)

/// The job as its owner sees it. Errors: not_found.
struct describe_job {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
};
TROUPE_MESSAGE(describe_job, job)

/// Why stages of the job wait that could run; answered by {"count": how many do, "stages": [{"index", "stage", "code",
/// "reason", "position", "eta_ms"}, …]}, the first `stages_max` of them in the order of their indices. `position` and
/// `eta_ms` are null where there is none. It holds for this moment, and may be ahead of the disk. Errors: not_found,
/// unavailable (the scheduler does not answer).
struct explain_job {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  std::uint32_t stages_max = 0;
};
TROUPE_MESSAGE(explain_job, job, stages_max)

/// Stops what runs and releases what is held. A job that has ended stays as it is. Answers with its status.
struct cancel_job {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  timestamp at = 0;
};
TROUPE_MESSAGE(cancel_job, job, at)

/// Takes an ended job and its files out of its owner's sight. Errors: conflict (it has not ended).
struct forget_job {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  timestamp at = 0;
};
TROUPE_MESSAGE(forget_job, job, at)

/// Runs the stage again that made this artifact, which is gone or corrupt; what it made is paid already.
/// Errors: not_found (no stage of the job made it), conflict.
struct remake_artifact {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job, sha256;
  timestamp at = 0;
};
TROUPE_MESSAGE(remake_artifact, job, sha256, at)

/// After a start: take up again what is not finished. Answers with the number of stages queued or awaited.
struct resume_job {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
};
TROUPE_MESSAGE(resume_job, job)

/// From the scheduler: a stage has a device. Errors: conflict (it is not wanted any more).
struct place_stage {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  std::uint32_t stage = 0;
  std::string device;
  std::uint64_t attempt = 0;
  bool second = false;       // beside the attempt that runs, which takes too long; the first result counts
  std::uint64_t session = 0; // of the device
};
TROUPE_MESSAGE(place_stage, job, stage, device, attempt, second, session)

/// From the scheduler: the device was lost under an attempt, and the stage waits again. Until it is placed anew the
/// device may come back with that attempt, or with its result.
struct stage_moved {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  std::uint32_t stage = 0;
  std::string device;
  std::uint64_t attempt = 0;
};
TROUPE_MESSAGE(stage_moved, job, stage, device, attempt)

/// From the scheduler: it will not keep the stage. What it has no room for now (`queue_full`, `account_queue_full`,
/// `stopping`) the job brings again.
struct stage_rejected {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  std::uint32_t stage = 0;
  std::string code, reason;
};
TROUPE_MESSAGE(stage_rejected, job, stage, code, reason)

/// From a device: what its node says of an attempt (finished, failed, progress, preview). The answer comes when it is
/// durable; then the node may forget it.
struct stage_report {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  std::string device;
  wire::from_node what;
};
template <class Inspector>
bool inspect(Inspector& f, stage_report& x) {
  auto get = [&x] { return wire::encode(x.what); };
  auto set = [&x](const std::string& frame) {
    auto read = wire::decode_from_node(frame);
    if (read)
      x.what = std::move(*read);
    return read.has_value();
  };
  return f.object(x).fields(f.field("job", x.job), f.field("device", x.device), f.field("what", get, set));
}

/// From a device: a node that came back says that this attempt still runs there. Errors: conflict (stop it).
struct stage_reattached {
  static constexpr actor_kind to = actor_kind::job;
  using reply = description;
  std::string job;
  std::uint32_t stage = 0;
  std::string device;
  std::uint64_t attempt = 0;
};
TROUPE_MESSAGE(stage_reattached, job, stage, device, attempt)

/// A job to itself: look again at what waits for time (retries, nodes that may come back).
struct job_tick {
  timestamp at = 0;
};
TROUPE_MESSAGE(job_tick, at)

/// From the start_timer: what was kept back has waited long enough.
struct kept_too_long {
  std::uint8_t unused = 0; // messages may not be empty
};
TROUPE_MESSAGE(kept_too_long, unused)

/// The start_timer to itself.
struct start_timer_rings {
  std::uint8_t unused = 0;
};
TROUPE_MESSAGE(start_timer_rings, unused)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_job, caf::id_block::troupe_scheduler::end)
CAF_ADD_TYPE_ID(troupe_job, (troupe::submitted_job))
CAF_ADD_TYPE_ID(troupe_job, (troupe::submit_job))
CAF_ADD_TYPE_ID(troupe_job, (troupe::describe_job))
CAF_ADD_TYPE_ID(troupe_job, (troupe::cancel_job))
CAF_ADD_TYPE_ID(troupe_job, (troupe::forget_job))
CAF_ADD_TYPE_ID(troupe_job, (troupe::remake_artifact))
CAF_ADD_TYPE_ID(troupe_job, (troupe::resume_job))
CAF_ADD_TYPE_ID(troupe_job, (troupe::place_stage))
CAF_ADD_TYPE_ID(troupe_job, (troupe::stage_moved))
CAF_ADD_TYPE_ID(troupe_job, (troupe::stage_rejected))
CAF_ADD_TYPE_ID(troupe_job, (troupe::stage_report))
CAF_ADD_TYPE_ID(troupe_job, (troupe::stage_reattached))
CAF_ADD_TYPE_ID(troupe_job, (troupe::job_tick))
CAF_ADD_TYPE_ID(troupe_job, (troupe::kept_too_long))
CAF_ADD_TYPE_ID(troupe_job, (troupe::start_timer_rings))
CAF_ADD_TYPE_ID(troupe_job, (troupe::explain_job))
CAF_END_TYPE_ID_BLOCK(troupe_job)
