#pragma once

// One job: the run of its workflow, who pays for it, and what is told of it. Pure, rebuilt from its events. It holds
// its whole plan, so it finishes under the definition that it started with.

#include "common/clock.hpp"
#include "common/ids.hpp"
#include "common/json.hpp"
#include "common/money.hpp"
#include "workflows/run.hpp"

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::jobs {

struct submitted {
  static constexpr const char* type = "submitted";
  std::string job, account, workflow, definition;
  std::uint32_t version = 1, weight = 1;
  std::uint64_t generation = 0, feed_before = 0;
  json inputs = json::object();
  workflow::plan_ptr plan;
  timestamp at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(submitted, job, account, workflow, definition, version, weight,
                                                generation, feed_before, inputs, plan, at)
packed_map packed_fields(const submitted& e);

/// The run went on; the rest is what is known of the attempt.
struct advanced {
  static constexpr const char* type = "advanced";
  workflow::event what;
  std::string device, engine;
  bool preview = false; // made by an embedded stand-in
  std::uint32_t run_ms = 0;
  timestamp at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(advanced, what, device, engine, preview, run_ms, at)
packed_map packed_fields(const advanced& e);

/// Its owner deleted it.
struct forgotten {
  static constexpr const char* type = "forgotten";
  timestamp at = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(forgotten, at)

using event = std::variant<submitted, advanced, forgotten>;

/// What is known of a stage besides its state in the run.
struct stage_facts {
  std::string device, engine;
  bool preview = false;
  std::uint32_t attempts = 0; // started
  std::uint64_t newest = 0;   // of these; what was lost and goes on is the same one
  timestamp queued_at = 0, started_at = 0, ended_at = 0;
  std::uint32_t run_ms = 0;
  std::vector<std::string> bad_devices;                   // that failed it by a fault of their own, or as too small
  std::vector<std::string> small_devices;                 // of these, on which it ran out of memory
  std::optional<std::pair<double, std::string>> progress; // of the running attempt; not stored
};

class job_core {
public:
  using event = jobs::event;

  bool exists() const { return run_.has_value(); }
  /// Applies an event that is in the journal, or is about to be. Returns what follows from it.
  workflow::effects apply(const event& happened);
  void evolve(const event& happened) { apply(happened); }

  // -- questions; only of a job that exists
  // ------------------------------------------------------------------------------
  const workflow::run& run() const { return *run_; }
  const submitted& origin() const { return origin_; }
  const stage_facts& facts(std::uint32_t stage) const { return facts_.at(stage); }
  bool is_forgotten() const { return forgotten_at_ != 0; }
  bool ended() const { return run_->ended(); }
  std::string status() const { return std::string{workflow::name_of(run_->now())}; }
  micro_credits price() const { return run_->plan().price(); }
  micro_credits charged() const;
  /// True when a stage that has run was served by an embedded stand-in.
  bool preview() const;
  /// What is done of all of it, 0 … 1.
  double progress() const;
  void note_progress(std::uint32_t stage, double fraction, std::string step);

  /// A result's file as its owner sees it.
  struct file {
    std::string name, filename;
    workflow::artifact content;
  };
  std::vector<file> files() const;

  /// The job as GET /api/jobs/{id} shows it, but for why it waits.
  json view() const;
  /// The row that lists and polling read.
  packed_map summary() const;

  json to_json() const; // for the console
  static job_core from_json(const json& state);
  void check_invariants() const;

private:
  void note(const advanced& e, const workflow::event& what, const workflow::effects& effects);
  json stage_view(std::uint32_t stage) const;

  submitted origin_;
  std::optional<workflow::run> run_;
  std::vector<stage_facts> facts_;
  timestamp started_at_ = 0, ended_at_ = 0, forgotten_at_ = 0;
};

} // namespace troupe::jobs
