#include "workflows/run.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <array>

namespace troupe::workflow {

namespace {

constexpr std::array<std::string_view, 9> fault_names{"bad_input", "out_of_memory", "device",  "unknown", "timeout",
                                                      "lost_node", "cancelled",     "stopped", "unsuited"};
constexpr std::array<std::string_view, 7> state_names{"waiting",   "ready",  "running",  "backing_off",
                                                      "succeeded", "failed", "cancelled"};
constexpr std::array<std::string_view, 5> phase_names{"queued", "running", "succeeded", "failed", "cancelled"};

bool is_open(stage_state state) {
  return state == stage_state::waiting || state == stage_state::ready || state == stage_state::running ||
         state == stage_state::backing_off;
}

// In the scheduler's hands: queued, waiting out a backoff, or on a device.
bool is_issued(stage_state state) { return is_open(state) && state != stage_state::waiting; }

// The node went away, stopped the work by itself, or does not take such work: the stage is not to blame.
bool is_nobodys_fault(fault kind) {
  return kind == fault::lost_node || kind == fault::cancelled || kind == fault::unsuited;
}

// Another device may do at once; a wait would not help.
bool is_of_the_device(fault kind) { return kind == fault::device || kind == fault::out_of_memory; }

std::int64_t backoff(const retry_policy& policy, std::uint32_t failures) {
  auto doublings = std::min<std::uint32_t>(failures > 0 ? failures - 1 : 0, 20);
  return std::min(static_cast<std::int64_t>(policy.backoff_ms) << doublings, run::limits::backoff_ms_max);
}

// No wait is longer than it was meant to be: `due` is far away only after the clock was set back.
bool is_due(const stage_status& stage, const retry_policy& policy, std::int64_t at) {
  return stage.due <= at || stage.due - at > backoff(policy, stage.failures);
}

// Cut at a code point, so that the text stays UTF-8.
std::string bounded(std::string text) {
  if (text.size() <= run::limits::message_bytes_max)
    return text;
  auto end = run::limits::message_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;
  text.resize(end);
  return text;
}

const artifact* find_output(const std::vector<artifact>& outputs, std::string_view port) {
  auto found = std::find_if(outputs.begin(), outputs.end(), [&](const auto& one) { return one.port == port; });
  return found == outputs.end() ? nullptr : &*found;
}

} // namespace

std::string_view name_of(fault kind) { return fault_names[static_cast<std::size_t>(kind)]; }

fault fault_of(std::string_view name) {
  auto found = std::find(fault_names.begin(), fault_names.end(), name);
  return found == fault_names.end() ? fault::unknown : static_cast<fault>(found - fault_names.begin());
}

std::string_view name_of(stage_state state) { return state_names[static_cast<std::size_t>(state)]; }

std::string_view name_of(phase now) { return phase_names[static_cast<std::size_t>(now)]; }

run::run(plan_ptr what) : plan_(std::move(what)) {
  TROUPE_CHECK(plan_);
  stages_.resize(plan_->stages.size());
  dependents_.resize(plan_->stages.size());
  for (const auto& stage : plan_->stages)
    for (auto needed : stage.dependencies)
      dependents_[needed].push_back(stage.index);
}

effects run::apply(const event& happened) {
  return std::visit([this](const auto& e) { return on(e); }, happened);
}

const stage_status& run::at(std::uint32_t index) const {
  TROUPE_CHECK(index < stages_.size());
  return stages_[index];
}

bool run::dependencies_done(std::uint32_t index) const {
  const auto& needed = plan_->stages[index].dependencies;
  return std::all_of(needed.begin(), needed.end(),
                     [this](auto i) { return stages_[i].state == stage_state::succeeded; });
}

// A report may be of an attempt whose start was not told, so a newer number counts; one that has ended never does.
bool run::is_current(std::uint32_t index, std::uint64_t attempt) const {
  return !ended() && index < stages_.size() && is_issued(stages_[index].state) && attempt > stages_[index].ended &&
         attempt >= stages_[index].attempt;
}

// Its stage waits already: that it failed is nothing new.
bool run::is_lost(std::uint32_t index, std::uint64_t attempt) const {
  const auto& stage = stages_[index];
  return stage.state != stage_state::running && stage.attempt > stage.ended && stage.attempt == attempt;
}

void run::wake_dependents(std::uint32_t index) {
  for (auto i : dependents_[index])
    if (stages_[i].state == stage_state::waiting && dependencies_done(i))
      stages_[i].state = stage_state::ready;
}

void run::end(phase how, effects& out) {
  for (std::uint32_t i = 0; i < stages_.size(); ++i) {
    auto& stage = stages_[i];
    if (is_issued(stage.state))
      out.withdraw.push_back(i);
    if (is_open(stage.state))
      stage.state = stage_state::cancelled;
    stage.ended = stage.attempt;
    stage.due = 0;
    if (!stage.captured)
      out.release.push_back(i);
  }
  phase_ = how;
}

void run::finish_if_all_succeeded() {
  if (std::all_of(stages_.begin(), stages_.end(), [](const auto& s) { return s.state == stage_state::succeeded; }))
    phase_ = phase::succeeded;
}

effects run::on(const started&) {
  if (started_ || ended())
    return {};
  started_ = true;
  for (std::uint32_t i = 0; i < stages_.size(); ++i)
    if (dependencies_done(i))
      stages_[i].state = stage_state::ready;
  effects out;
  out.changed = true;
  return out;
}

effects run::on(const stage_started& e) {
  if (!is_current(e.index, e.attempt))
    return {};
  auto& stage = stages_[e.index];
  if (stage.state == stage_state::running && stage.attempt == e.attempt)
    return {};
  stage.state = stage_state::running;
  stage.attempt = e.attempt;
  stage.due = 0;
  phase_ = phase::running;
  effects out;
  out.changed = true;
  return out;
}

effects run::on(const stage_succeeded& e) {
  if (!is_current(e.index, e.attempt) || !missing_output(e.index, e.outputs).empty())
    return {};
  auto& stage = stages_[e.index];
  effects out;
  out.changed = true;
  if (stage.state != stage_state::running) // it waits, to be begun anew
    out.withdraw.push_back(e.index);
  if (!stage.captured)
    out.capture.push_back(e.index);
  stage.state = stage_state::succeeded;
  stage.attempt = stage.ended = e.attempt;
  stage.due = 0;
  stage.captured = true;
  stage.outputs = e.outputs;
  phase_ = phase::running;
  wake_dependents(e.index);
  finish_if_all_succeeded();
  return out;
}

effects run::on(const stage_failed& e) {
  if (!is_current(e.index, e.attempt) || is_lost(e.index, e.attempt))
    return {};
  auto& stage = stages_[e.index];
  effects out;
  out.changed = true;
  stage.attempt = e.attempt;
  if (e.kind != fault::lost_node)
    stage.ended = e.attempt;
  stage.last_fault = e.kind;
  stage.last_message = bounded(e.message);
  stage.due = 0;
  phase_ = phase::running;
  if (e.kind == fault::stopped) { // how often is the scheduler's to say
    stage.state = stage_state::ready;
    return out;
  }
  bool forgiven = is_nobodys_fault(e.kind) && stage.lost_nodes < limits::lost_nodes_max;
  ++(forgiven ? stage.lost_nodes : stage.failures);
  const auto& policy = plan_->stages[e.index].retry;
  if (!forgiven && (e.kind == fault::bad_input || stage.failures >= policy.attempts)) {
    stage.state = stage_state::failed;
    end(phase::failed, out);
  } else if (forgiven || is_of_the_device(e.kind)) {
    stage.state = stage_state::ready;
  } else {
    stage.state = stage_state::backing_off;
    stage.due = e.at + backoff(policy, stage.failures);
  }
  return out;
}

effects run::on(const cancel_asked&) {
  if (ended())
    return {};
  effects out;
  out.changed = true;
  end(phase::cancelled, out);
  return out;
}

// What works on the lost file, or is about to, cannot go on; what has finished with it may stand.
void run::make_again(std::uint32_t index, effects& out) {
  auto& stage = stages_[index];
  stage.outputs.clear();
  ++stage.lost_artifacts;
  stage.last_message = "a file it had made was lost";
  if (stage.lost_artifacts > limits::lost_artifacts_max) {
    stage.state = stage_state::failed;
    stage.last_fault = fault::unknown;
    stage.last_message = "the files it made were lost again and again";
    return end(phase::failed, out);
  }
  for (auto i : dependents_[index]) {
    auto& dependent = stages_[i];
    if (!is_issued(dependent.state))
      continue;
    dependent.state = stage_state::waiting;
    dependent.ended = dependent.attempt;
    dependent.due = 0;
    out.withdraw.push_back(i);
  }
  stage.state = dependencies_done(index) ? stage_state::ready : stage_state::waiting;
  phase_ = phase::running;
}

effects run::on(const artifact_lost& e) {
  if (ended() || e.index >= stages_.size() || stages_[e.index].state != stage_state::succeeded)
    return {};
  effects out;
  out.changed = true;
  make_again(e.index, out);
  return out;
}

effects run::on(const rerun& e) {
  if (phase_ != phase::succeeded || e.index >= stages_.size())
    return {};
  effects out;
  out.changed = true;
  make_again(e.index, out);
  return out;
}

std::vector<std::uint32_t> run::ready(std::int64_t at) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 0; i < stages_.size(); ++i) {
    const auto& stage = stages_[i];
    if (stage.state == stage_state::ready ||
        (stage.state == stage_state::backing_off && is_due(stage, plan_->stages[i].retry, at)))
      out.push_back(i);
  }
  return out;
}

std::int64_t run::backs_off_for(std::uint32_t index, std::int64_t at) const {
  const auto& stage = this->at(index);
  auto waits = stage.state == stage_state::backing_off && !is_due(stage, plan_->stages[index].retry, at);
  return waits ? stage.due - at : 0;
}

std::optional<std::int64_t> run::next_due() const {
  std::optional<std::int64_t> out;
  for (const auto& stage : stages_)
    if (stage.state == stage_state::backing_off)
      out = std::min(out.value_or(stage.due), stage.due);
  return out;
}

std::vector<resolved_input> run::inputs_of(std::uint32_t index) const {
  TROUPE_CHECK(index < stages_.size());
  std::vector<resolved_input> out;
  for (const auto& bound : plan_->stages[index].inputs)
    for (const auto& from : bound.from)
      if (const auto* file = find_output(stages_[from.instance].outputs, from.port))
        out.push_back({bound.port, *file});
  return out;
}

std::optional<std::uint32_t> run::producer_of(std::uint32_t consumer, std::string_view sha256) const {
  if (consumer >= stages_.size())
    return std::nullopt;
  for (const auto& bound : plan_->stages[consumer].inputs)
    for (const auto& from : bound.from)
      if (const auto* file = find_output(stages_[from.instance].outputs, from.port); file && file->sha256 == sha256)
        return from.instance;
  return std::nullopt;
}

std::string run::missing_output(std::uint32_t index, const std::vector<artifact>& outputs) const {
  if (index >= stages_.size())
    return "";
  auto missing = [&](const source& from, bool optional) {
    return from.instance == index && !optional && !find_output(outputs, from.port);
  };
  for (auto i : dependents_[index])
    for (const auto& bound : plan_->stages[i].inputs)
      for (const auto& from : bound.from)
        if (missing(from, bound.optional))
          return from.port;
  for (const auto& result : plan_->results)
    if (missing(result.from, result.optional))
      return result.from.port;
  return "";
}

std::vector<finished_result> run::results() const {
  std::vector<finished_result> out;
  for (const auto& result : plan_->results)
    if (const auto* file = find_output(stages_[result.from.instance].outputs, result.from.port))
      out.push_back({result.name, result.filename, result.from.instance, *file});
  return out;
}

double run::progress(const std::map<std::uint32_t, double>& running) const {
  double done = 0;
  for (std::uint32_t i = 0; i < stages_.size(); ++i) {
    auto fraction = running.find(i);
    if (stages_[i].state == stage_state::succeeded)
      done += 1;
    else if (stages_[i].state == stage_state::running && fraction != running.end() && fraction->second > 0)
      done += std::min(fraction->second, 1.0);
  }
  return done / static_cast<double>(stages_.size());
}

std::string run::failure() const {
  if (phase_ != phase::failed)
    return "";
  for (std::uint32_t i = 0; i < stages_.size(); ++i)
    if (stages_[i].state == stage_state::failed)
      return plan_->stages[i].name + ": " + stages_[i].last_message;
  return "";
}

void run::check_invariants() const {
  auto broken = broken_promise();
  if (broken)
    std::fprintf(stderr, "run of '%s': %s\n", plan_->workflow.c_str(), broken->c_str());
  TROUPE_CHECK(!broken);
}

} // namespace troupe::workflow
