#pragma once

// The state of one run over its plan: a pure machine. Events go in; what must be withdrawn, captured and released comes
// out. Time comes with the events; nothing here waits, sends or stores.
//
// Promises:
//   1. A stage is ready, backing off or running only when all it depends on has succeeded.
//   2. No lost wake-up: while the run goes on, a stage is waiting only if something it depends on has not succeeded.
//   3. The run has ended exactly when no stage is waiting, ready, backing off or running: succeeded when all are,
//   failed
//      when one has failed and the rest has ended, cancelled when none has failed.
//   4. A report for an attempt that has ended, or that a newer one has replaced, changes nothing. One that is lost has
//      not ended: until a newer one has started it may succeed, or go on.
//   5. A stage is never tried more often than its policy allows, lost nodes aside, of which there is a limit too.
//   6. Only a stage that has succeeded has outputs, and then all that its dependents and the results need.
//   7. Money: each stage is captured at most once, at its first success; when the run has ended, each was either
//   captured
//      or released, never both.
//   8. After the end only `rerun` changes anything.

#include "workflows/plan.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::workflow {

/// Why an attempt ended without a result; the names are those of the node protocol. Of the head are `lost_node` and
/// `stopped`: the head itself had it broken off, for the sake of another stage.
enum class fault { bad_input, out_of_memory, device, unknown, timeout, lost_node, cancelled, stopped, unsuited };

std::string_view name_of(fault kind);
/// Another word is `unknown`.
fault fault_of(std::string_view name);

/// A file that a stage made, by its content.
struct artifact {
  std::string port;
  std::string sha256;
  std::uint64_t bytes = 0;
  std::string content_type;
  json metadata = json::object();
  friend bool operator==(const artifact&, const artifact&) = default;
};

packed_map packed_fields(const artifact& what);
json to_json(const artifact& what);
/// Errors: `corrupt`.
result<artifact> artifact_from_json(const json& in);

// -- what can happen --------------------------------------------------------------------------------------------------

/// The run may begin: its price is held.
struct started {};
/// An attempt runs on a device; told again of a lost one, it goes on. Attempt numbers of a stage rise, also across
/// restarts. Need not be told: a success of an attempt that is not known yet counts.
struct stage_started {
  std::uint32_t index = 0;
  std::uint64_t attempt = 0;
};
/// Ask missing_output() first: a success that lacks a file that is needed does not fit.
struct stage_succeeded {
  std::uint32_t index = 0;
  std::uint64_t attempt = 0;
  std::vector<artifact> outputs;
};
/// `at` in milliseconds since 1970: what a wait for the next attempt counts from. After `lost_node` the attempt is
/// lost: its stage waits again, and its node may come back with it.
struct stage_failed {
  std::uint32_t index = 0;
  std::uint64_t attempt = 0;
  fault kind = fault::unknown;
  std::string message; // for the job's owner
  std::int64_t at = 0;
};
struct cancel_asked {};
/// A file of a finished stage is gone or corrupt: the stage is to be made again (it was paid already).
struct artifact_lost {
  std::uint32_t index = 0;
};
/// As artifact_lost, for a run that has succeeded: the run goes on until the stage has been made again.
struct rerun {
  std::uint32_t index = 0;
};

using event = std::variant<started, stage_started, stage_succeeded, stage_failed, cancel_asked, artifact_lost, rerun>;

/// What is stored of it; to_json() is the same as a tree.
packed_map packed_fields(const event& what);
json to_json(const event& what);
/// Errors: `corrupt`.
result<event> event_from_json(const json& in);
/// In messages and other events it goes along as it is. Reading throws json::exception.
void to_json(json& out, const event& what);
void from_json(const json& in, event& out);

// -- what follows -----------------------------------------------------------------------------------------------------

struct effects {
  bool changed = false;                // false: the event no longer fits; nothing else is set
  std::vector<std::uint32_t> withdraw; // take out of the queue, or stop where it runs
  std::vector<std::uint32_t> capture;  // charge: first success
  std::vector<std::uint32_t> release;  // give back: the run ended and these were never charged
  friend bool operator==(const effects&, const effects&) = default;
};

enum class stage_state { waiting, ready, running, backing_off, succeeded, failed, cancelled };
enum class phase { queued, running, succeeded, failed, cancelled };

std::string_view name_of(stage_state state);
std::string_view name_of(phase now);

/// How one stage stands.
struct stage_status {
  stage_state state = stage_state::waiting;
  std::uint64_t attempt = 0;  // the newest known
  std::uint64_t ended = 0;    // the newest that has ended: what is at or below it is stale. A lost one is above it
  std::uint32_t failures = 0; // attempts that count against the policy
  std::uint32_t lost_nodes = 0;
  std::uint32_t lost_artifacts = 0;
  std::int64_t due = 0; // backing off: until when
  bool captured = false;
  std::optional<fault> last_fault;
  std::string last_message;
  std::vector<artifact> outputs;
  friend bool operator==(const stage_status&, const stage_status&) = default;
};

/// An input of an instance, found: the port is the one that takes it.
struct resolved_input {
  std::string port;
  artifact file;
};

/// A result that is there.
struct finished_result {
  std::string name;
  std::string filename; // {job} still in it
  std::uint32_t stage = 0;
  artifact file;
};

class run {
public:
  struct limits {
    static constexpr std::uint32_t lost_nodes_max = 10; // further ones count as failures
    static constexpr std::uint32_t lost_artifacts_max = 5;
    static constexpr std::int64_t backoff_ms_max = 300'000;
    static constexpr std::size_t message_bytes_max = 1'000;
  };

  /// `what` must not be null.
  explicit run(plan_ptr what);

  /// Applies one event. One that no longer fits (late, repeated, unknown index) changes nothing.
  effects apply(const event& happened);

  // -- questions --
  phase now() const { return phase_; }
  bool ended() const { return phase_ != phase::queued && phase_ != phase::running; }
  const workflow::plan& plan() const { return *plan_; }
  const plan_ptr& shared_plan() const { return plan_; }
  const stage_status& at(std::uint32_t index) const;
  /// Whether an attempt may still succeed, or go on; ask before artifact_lost is made of a consumer's report.
  bool is_current(std::uint32_t index, std::uint64_t attempt) const;

  /// What should be in the scheduler's queue at this time: ready, or done with backing off. Ascending.
  std::vector<std::uint32_t> ready(std::int64_t at) const;
  /// How long an instance that is backing off still does, in milliseconds; 0: it does not, or no more.
  std::int64_t backs_off_for(std::uint32_t index, std::int64_t at) const;
  /// When the next one is done with backing off, if any is.
  std::optional<std::int64_t> next_due() const;
  /// The files an instance that is ready or running works on: in port order, a list in its own order.
  std::vector<resolved_input> inputs_of(std::uint32_t index) const;
  /// The instance whose file this is, seen from `consumer`; for a node's report that an input is missing or corrupt.
  std::optional<std::uint32_t> producer_of(std::uint32_t consumer, std::string_view sha256) const;
  /// The first port that outputs lack although a dependent or a result needs it; empty: none.
  std::string missing_output(std::uint32_t index, const std::vector<artifact>& outputs) const;
  /// The results whose stage has succeeded.
  std::vector<finished_result> results() const;
  /// 0 … 1: stages done, plus the fractions of running ones where known, over all stages.
  double progress(const std::map<std::uint32_t, double>& running = {}) const;
  /// Why the run failed, for its owner: "generate[1]: …"; empty unless failed.
  std::string failure() const;

  /// Stops the process when a promise is broken.
  void check_invariants() const;

  // -- snapshots --
  json to_json() const;
  /// Errors: `corrupt` (not a run of this plan, or one that breaks its promises).
  static result<run> from_json(plan_ptr what, const json& in);

  friend bool operator==(const run& a, const run& b) {
    return a.phase_ == b.phase_ && a.started_ == b.started_ && a.stages_ == b.stages_;
  }

private:
  effects on(const started& e);
  effects on(const stage_started& e);
  effects on(const stage_succeeded& e);
  effects on(const stage_failed& e);
  effects on(const cancel_asked& e);
  effects on(const artifact_lost& e);
  effects on(const rerun& e);

  bool dependencies_done(std::uint32_t index) const;
  bool is_lost(std::uint32_t index, std::uint64_t attempt) const;
  void wake_dependents(std::uint32_t index);
  void make_again(std::uint32_t index, effects& out);
  void end(phase how, effects& out);
  void finish_if_all_succeeded();
  std::optional<std::string> broken_promise() const;

  plan_ptr plan_;
  std::vector<stage_status> stages_;
  std::vector<std::vector<std::uint32_t>> dependents_; // from the plan
  phase phase_ = phase::queued;
  bool started_ = false;
};

} // namespace troupe::workflow
