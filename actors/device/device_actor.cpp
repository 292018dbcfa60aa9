#include "actors/device/device_actor.hpp"

#include "common/log.hpp"

#include <algorithm>

namespace troupe {

namespace {

constexpr auto retry_after = std::chrono::seconds(1);
constexpr std::size_t stopped_max = 64; // a start is late by a few messages, not by so many
constexpr auto overdue_every = std::chrono::seconds(5);
constexpr std::int64_t overdue_grace_ms = 30'000; // at least: the node's own time-out comes first
constexpr std::uint64_t slowest_bytes_ms = 256;   // of a line that inputs come over

scheduling::outcome outcome_of(const std::string& fault) {
  using scheduling::outcome;
  if (fault == "bad_input" || fault == "missing_input" || fault == "corrupt_input")
    return outcome::bad_input;
  if (fault == "out_of_memory")
    return outcome::out_of_memory;
  if (fault == "device")
    return outcome::device_fault;
  if (fault == "unsuited")
    return outcome::unsuited;
  if (fault == "cancelled" || fault == "stopped")
    return outcome::cancelled;
  return fault == "timeout" ? outcome::timed_out : outcome::unknown;
}

} // namespace

device_actor::device_actor(caf::actor_config& config, actor_board& board, address_book_ptr others,
                           link::head_link& link, std::string device, has_artifact is_here, has_job is_job)
  : visible(config, board, "device", std::move(device), "cluster/main"), others_(std::move(others)), link_(link),
    is_here_(std::move(is_here)), is_job_(std::move(is_job)) {}

caf::behavior device_actor::make_behavior() {
  run_delayed(overdue_every, [this] { look_for_overdue(); });
  return {
      on(&device_actor::run),  on(&device_actor::stop),  on(&device_actor::report),       on(&device_actor::connected),
      on(&device_actor::lost), on(&device_actor::asked), on(&device_actor::inspect_self),
  };
}

caf::result<void> device_actor::run(run_stage& m) {
  const auto& ref = m.what.ref;
  if (connection_.empty() || m.session != session_)
    return {}; // the scheduler hears that the device was lost after it had decided, and moves the stage
  if (std::find(stopped_.begin(), stopped_.end(), ref) != stopped_.end()) { // its slot may be another's by now
    deliver(ref, wire::failed{ref, id(), "stopped", "it was stopped before it began", {}, 0});
    return {};
  }
  stage_key key{ref.job, ref.stage};
  std::uint64_t bytes = 0;
  for (const auto& input : m.what.inputs)
    bytes += input.bytes;
  attempt made{ref.attempt, steady_ms(), m.what.timeout_ms, m.what.kind,
               static_cast<std::int64_t>(bytes / slowest_bytes_ms)};
  running_[key] = made;
  if (!link_->send(connection_, std::move(m.what)))
    give_up(key, made, "unknown", "the node's line is full");
  return {};
}

caf::result<void> device_actor::stop(stop_stage& m) {
  wire::attempt_ref ref{m.job, m.stage, m.attempt};
  auto found = running_.find({m.job, m.stage});
  if (found == running_.end() || found->second.number != m.attempt) {
    if (reporting_.contains(ref))
      return {};
    stopped_.push_back(ref);
    if (stopped_.size() > stopped_max)
      stopped_.pop_front();
    end_attempt(ref, scheduling::outcome::cancelled, 0);
    return {};
  }
  found->second.stopped = true;
  if (!connection_.empty())
    link_->send(connection_, wire::cancel{ref});
  return {};
}

caf::result<void> device_actor::report(device_report& m) {
  auto dealt_with = make_response_promise<void>();
  auto good = std::get_if<wire::finished>(&m.what);
  auto bad = std::get_if<wire::failed>(&m.what);
  if (good != nullptr && is_of_a_job(good->ref))
    take(std::move(*good), dealt_with);
  else if (bad != nullptr && is_of_a_job(bad->ref))
    take(std::move(*bad), dealt_with);
  else
    dealt_with.deliver();
  return dealt_with;
}

// An actor is not to be made for a job that a node has made up: the node may forget it at once, and the scheduler, if
// a hello spoke of it.
bool device_actor::is_of_a_job(const wire::attempt_ref& ref) {
  if (find(ref) != nullptr || is_job_(ref.job))
    return true;
  if (!connection_.empty())
    link_->send(connection_, wire::acknowledge{ref});
  end_attempt(ref, scheduling::outcome::cancelled, 0);
  return false;
}

void device_actor::take(wire::finished&& report, promise dealt_with) {
  auto absent = std::find_if_not(report.outputs.begin(), report.outputs.end(), is_here_);
  if (absent != report.outputs.end()) {
    log::error("device {}: the node reports the file {} of {} bytes, which it has not brought; the attempt has failed",
               id(), absent->sha256, absent->bytes);
    take({report.ref, report.device, "device", "its node reported a file that it had not brought", {}, report.run_ms},
         std::move(dealt_with));
    return;
  }
  ++succeeded_;
  report.run_ms = believable_ms(report.ref, report.run_ms);
  std::int64_t before = believable_ms(report.ref, UINT32_MAX) - report.run_ms; // what is left for its transfers
  end_attempt(report.ref, scheduling::outcome::ok, report.run_ms, std::min(report.transfer_ms, before));
  auto ref = report.ref;
  deliver(std::move(ref), std::move(report), std::move(dealt_with));
}

void device_actor::take(wire::failed&& report, promise dealt_with) {
  ++failed_;
  if (auto known = find(report.ref); known != nullptr && known->stopped && report.fault == "cancelled")
    report.fault = "stopped"; // it is no whim of its node's
  entry().note_error("job " + report.ref.job + ", stage " + std::to_string(report.ref.stage) + ": " + report.fault +
                     ": " + report.message);
  report.run_ms = believable_ms(report.ref, report.run_ms);
  end_attempt(report.ref, outcome_of(report.fault), report.run_ms);
  auto ref = report.ref;
  deliver(std::move(ref), std::move(report), std::move(dealt_with));
}

const device_actor::attempt* device_actor::find(const wire::attempt_ref& ref) const {
  auto found = running_.find({ref.job, ref.stage});
  return found != running_.end() && found->second.number == ref.attempt ? &found->second : nullptr;
}

std::uint32_t device_actor::believable_ms(const wire::attempt_ref& ref, std::uint32_t said) const {
  auto known = find(ref);
  auto since = known != nullptr ? known->since : made_at_;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(steady_ms() - since, 0, said));
}

void device_actor::end_attempt(const wire::attempt_ref& ref, scheduling::outcome how, std::uint32_t run_ms,
                               std::int64_t transfer_ms) {
  if (find(ref) != nullptr)
    running_.erase({ref.job, ref.stage});
  tell(others_->scheduler,
       attempt_over{{{job_id{ref.job}, ref.stage}, ref.attempt, device_id{id()}, how, run_ms, hello_, transfer_ms}});
}

// The node forgets a result when its job says that it is durable, or that it is of no use.
void device_actor::deliver(wire::attempt_ref ref, wire::from_node what, promise dealt_with) {
  reporting_.insert(ref);
  request(others_->directory, caf::infinite, routed(stage_report{ref.job, id(), what}))
      .then(
          [this, ref, dealt_with](description&) mutable {
            reported(ref);
            dealt_with.deliver();
          },
          [this, ref, what, dealt_with](caf::error& why) mutable {
            auto refused = read_refusal(why);
            if (refused.why != refusal::unavailable) {
              reported(ref);
              return dealt_with.deliver();
            }
            log::warn("job {} could not take the result of stage {}: {}; trying again", ref.job, ref.stage,
                      refused.message);
            run_delayed(retry_after, [this, ref, what, dealt_with] { deliver(ref, what, dealt_with); });
          });
}

// The job has it, or has no use for it.
void device_actor::reported(const wire::attempt_ref& ref) {
  reporting_.erase(ref);
  if (!connection_.empty())
    link_->send(connection_, wire::acknowledge{ref});
  if (gone_ && reporting_.empty())
    quit();
}

void device_actor::give_up(const stage_key& key, const attempt& what, const std::string& fault,
                           const std::string& message) {
  wire::attempt_ref ref{key.first, key.second, what.number};
  log::warn("device {}: attempt {} of stage {} of job {} is given up: {}", id(), what.number, key.second, key.first,
            message);
  if (!connection_.empty())
    link_->send(connection_, wire::cancel{ref});
  auto run_ms = static_cast<std::uint32_t>(steady_ms() - what.since);
  wire::failed failed{ref, id(), fault, message, {}, run_ms};
  end_attempt(ref, outcome_of(fault), run_ms);
  deliver(ref, failed);
}

caf::result<void> device_actor::connected(device_connected& m) {
  connection_ = m.connection;
  session_ = m.session;
  hello_ = m.hello;
  std::map<stage_key, attempt> before = std::exchange(running_, {});
  for (const auto& a : m.attempts) {
    auto known = before.find({a.job, a.stage});
    auto same = known != before.end() && known->second.number == a.attempt;
    if (same) {
      if (!a.ended)
        running_.insert(*known);
      before.erase(known);
    } else if (!a.ended) {
      running_[{a.job, a.stage}] = {a.attempt, steady_ms(), 0, {}};
      reattach(a);
    }
  }
  for (const auto& [key, lost] : before) { // given to the node, but it does not know of them
    running_.emplace(key, lost);
    give_up(key, lost, "lost_node", "the node lost it");
  }
  return {};
}

void device_actor::reattach(const known_attempt& a) {
  if (!is_job_(a.job))
    return part_from(a, "there is no such job");
  request(others_->directory, std::chrono::seconds(30), routed(stage_reattached{a.job, a.stage, id(), a.attempt}))
      .then(
          [this, a](description& wanted) {
            auto found = running_.find({a.job, a.stage});
            if (found == running_.end() || found->second.number != a.attempt)
              return;
            found->second.timeout_ms = wanted.value.value("timeout_ms", std::uint32_t{0});
            found->second.since = steady_ms() - wanted.value.value("for_ms", std::int64_t{0});
          },
          [this, a](caf::error& why) {
            part_from(a, read_refusal(why).message);
            tell(others_->directory, routed(resume_job{a.job}));
          });
}

// The scheduler may have believed the node; only after it has heard this can the job queue the stage anew.
void device_actor::part_from(const known_attempt& a, const std::string& why) {
  log::info("device {}: attempt {} of stage {} of job {} is stopped: {}", id(), a.attempt, a.stage, a.job, why);
  wire::attempt_ref ref{a.job, a.stage, a.attempt};
  if (!connection_.empty())
    link_->send(connection_, wire::cancel{ref});
  end_attempt(ref, scheduling::outcome::cancelled, 0);
}

caf::result<void> device_actor::lost(device_lost& m) {
  gone_ = m.gone;
  if (gone_) { // after what it has told the scheduler of attempts that ended here
    running_.clear();
    tell(others_->scheduler, device_left{id()});
    if (reporting_.empty())
      quit();
    return {};
  }
  if (!running_.empty())
    log::warn("device {} is gone: {}; its {} running stages move", id(), m.reason, running_.size());
  connection_.clear();
  running_.clear();
  return {};
}

caf::result<description> device_actor::asked(attempt_asked& m) {
  if (connection_.empty())
    return description{json::object()};
  wire::attempt_ref ref{m.job, m.stage, m.attempt};
  auto runs = find(ref) != nullptr || reporting_.contains(ref);
  return description{{{"runs", runs}}};
}

void device_actor::look_for_overdue() {
  std::vector<std::pair<stage_key, attempt>> overdue;
  for (const auto& [key, a] : running_) {
    auto longest = a.timeout_ms + std::max<std::int64_t>(a.timeout_ms, overdue_grace_ms) + a.inputs_ms;
    if (a.timeout_ms > 0 && steady_ms() - a.since > longest)
      overdue.emplace_back(key, a);
  }
  for (const auto& [key, a] : overdue)
    give_up(key, a, "timeout",
            "it took longer than " + std::to_string(a.timeout_ms / 1000) + " s, and its node did not stop it");
  run_delayed(overdue_every, [this] { look_for_overdue(); });
}

json device_actor::state_json() const {
  json running = json::array();
  for (const auto& [key, a] : running_)
    running.push_back({{"job", key.first},
                       {"stage", key.second},
                       {"attempt", a.number},
                       {"kind", a.kind},
                       {"for_ms", steady_ms() - a.since}});
  return {{"connected", !connection_.empty()},
          {"running", running},
          {"reporting", reporting_.size()},
          {"succeeded", succeeded_},
          {"failed", failed_}};
}

} // namespace troupe
