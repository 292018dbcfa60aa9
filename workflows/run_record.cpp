// A run, its events and its files as JSON: for the journal, for snapshots and for people who look into it.

#include "common/sha256.hpp"
#include "workflows/run.hpp"

#include <algorithm>

namespace troupe::workflow {

namespace {

template <class Enum>
std::optional<Enum> named(std::string_view name, int count) {
  for (int i = 0; i < count; ++i)
    if (name_of(static_cast<Enum>(i)) == name)
      return static_cast<Enum>(i);
  return std::nullopt;
}

json artifacts_json(const std::vector<artifact>& files) {
  auto out = json::array();
  for (const auto& file : files)
    out.push_back(to_json(file));
  return out;
}

std::vector<artifact> artifacts_from(const json& in) {
  std::vector<artifact> out;
  for (const auto& file : in)
    out.push_back(artifact_from_json(file).value());
  return out;
}

// Zeros and empty values are left out: most stages of a waiting run have nothing to say.
json status_json(const stage_status& stage) {
  json out{{"state", name_of(stage.state)}};
  auto note = [&](const char* key, const auto& value) {
    if (value != std::decay_t<decltype(value)>{})
      out[key] = value;
  };
  note("attempt", stage.attempt);
  note("ended", stage.ended);
  note("failures", stage.failures);
  note("lost_nodes", stage.lost_nodes);
  note("lost_artifacts", stage.lost_artifacts);
  note("due", stage.due);
  note("captured", stage.captured);
  note("message", stage.last_message);
  if (stage.last_fault)
    out["fault"] = name_of(*stage.last_fault);
  if (!stage.outputs.empty())
    out["outputs"] = artifacts_json(stage.outputs);
  return out;
}

std::optional<stage_status> status_from(const json& in) {
  stage_status out;
  auto state = named<stage_state>(in.at("state").get<std::string>(), 7);
  if (!state)
    return std::nullopt;
  out.state = *state;
  out.attempt = in.value("attempt", out.attempt);
  out.ended = in.value("ended", out.ended);
  out.failures = in.value("failures", out.failures);
  out.lost_nodes = in.value("lost_nodes", out.lost_nodes);
  out.lost_artifacts = in.value("lost_artifacts", out.lost_artifacts);
  out.due = in.value("due", out.due);
  out.captured = in.value("captured", out.captured);
  out.last_message = in.value("message", out.last_message);
  if (in.contains("fault"))
    out.last_fault = fault_of(in["fault"].get<std::string>());
  if (in.contains("outputs"))
    out.outputs = artifacts_from(in["outputs"]);
  return out;
}

packed_list packed_files(const std::vector<artifact>& files) {
  packed_list out;
  for (const auto& file : files)
    out.push(packed_fields(file));
  return out;
}

struct writer {
  packed_map operator()(const started&) const { return {"e", "started"}; }
  packed_map operator()(const stage_started& e) const {
    return {"e", "stage_started", "index", e.index, "attempt", e.attempt};
  }
  packed_map operator()(const stage_succeeded& e) const {
    return {"e", "stage_succeeded", "index", e.index, "attempt", e.attempt, "outputs", packed_files(e.outputs)};
  }
  packed_map operator()(const stage_failed& e) const {
    return packed_map("e", "stage_failed", "index", e.index, "attempt", e.attempt, "fault", name_of(e.kind))
        .add("message", e.message, "at", e.at);
  }
  packed_map operator()(const cancel_asked&) const { return {"e", "cancel_asked"}; }
  packed_map operator()(const artifact_lost& e) const { return {"e", "artifact_lost", "index", e.index}; }
  packed_map operator()(const rerun& e) const { return {"e", "rerun", "index", e.index}; }
};

} // namespace

packed_map packed_fields(const artifact& what) {
  return {"port",     what.port,      "sha256",          what.sha256, "bytes",
          what.bytes, "content_type", what.content_type, "metadata",  what.metadata};
}

json to_json(const artifact& what) { return packed_fields(what).tree(); }

result<artifact> artifact_from_json(const json& in) {
  try {
    artifact out{in.at("port").get<std::string>(), in.at("sha256").get<std::string>(),
                 in.at("bytes").get<std::uint64_t>(), in.at("content_type").get<std::string>(), in.at("metadata")};
    if (!is_sha256(out.sha256))
      return fail("corrupt", "an artifact without a SHA-256");
    return out;
  } catch (const json::exception&) {
    return fail("corrupt", "not an artifact");
  }
}

packed_map packed_fields(const event& what) { return std::visit(writer{}, what); }

json to_json(const event& what) { return packed_fields(what).tree(); }

void to_json(json& out, const event& what) { out = to_json(what); }

void from_json(const json& in, event& out) {
  auto read = event_from_json(in);
  if (!read)
    throw json::other_error::create(500, read.error().message, &in);
  out = std::move(*read);
}

result<event> event_from_json(const json& in) {
  try {
    auto kind = in.at("e").get<std::string>();
    if (kind == "started")
      return event{started{}};
    if (kind == "cancel_asked")
      return event{cancel_asked{}};
    auto index = in.at("index").get<std::uint32_t>();
    if (kind == "artifact_lost")
      return event{artifact_lost{index}};
    if (kind == "rerun")
      return event{rerun{index}};
    auto attempt = in.at("attempt").get<std::uint64_t>();
    if (kind == "stage_started")
      return event{stage_started{index, attempt}};
    if (kind == "stage_succeeded")
      return event{stage_succeeded{index, attempt, artifacts_from(in.at("outputs"))}};
    if (kind == "stage_failed")
      return event{stage_failed{index, attempt, fault_of(in.at("fault").get<std::string>()),
                                in.at("message").get<std::string>(), in.at("at").get<std::int64_t>()}};
    return fail("corrupt", "not an event of a run: '" + kind + "'");
  } catch (const std::exception&) { // of json, or of a file among the outputs
    return fail("corrupt", "not an event of a run");
  }
}

json run::to_json() const {
  auto stages = json::array();
  for (const auto& stage : stages_)
    stages.push_back(status_json(stage));
  return {{"workflow", plan_->workflow},
          {"hash", plan_->hash},
          {"phase", name_of(phase_)},
          {"started", started_},
          {"stages", std::move(stages)}};
}

result<run> run::from_json(plan_ptr what, const json& in) {
  run out(std::move(what));
  try {
    auto phase = named<workflow::phase>(in.at("phase").get<std::string>(), 5);
    if (!phase || in.at("hash") != out.plan_->hash || in.at("stages").size() != out.stages_.size())
      return fail("corrupt", "not a run of this plan");
    out.phase_ = *phase;
    out.started_ = in.at("started").get<bool>();
    for (std::size_t i = 0; i < out.stages_.size(); ++i) {
      auto stage = status_from(in["stages"][i]);
      if (!stage)
        return fail("corrupt", "a stage in no known state");
      out.stages_[i] = std::move(*stage);
    }
  } catch (const std::exception&) { // of json, or of a file among the outputs
    return fail("corrupt", "not a run");
  }
  if (auto broken = out.broken_promise())
    return fail("corrupt", "the run breaks its promises: " + *broken);
  return out;
}

// The numbers are those of the promises in run.hpp.
std::optional<std::string> run::broken_promise() const {
  bool any_open = false, any_failed = false, all_succeeded = true;
  for (std::uint32_t i = 0; i < stages_.size(); ++i) {
    const auto& s = stages_[i];
    auto at = plan_->stages[i].name;
    bool issued =
        s.state == stage_state::ready || s.state == stage_state::running || s.state == stage_state::backing_off;
    bool done = s.state == stage_state::succeeded;
    any_open = any_open || issued || s.state == stage_state::waiting;
    any_failed = any_failed || s.state == stage_state::failed;
    all_succeeded = all_succeeded && done;
    if (issued && !(started_ && dependencies_done(i)))
      return "1: " + at + " goes on before what it needs is done";
    if (started_ && s.state == stage_state::waiting && dependencies_done(i))
      return "2: " + at + " waits for nothing";
    bool may_be_lost = issued && s.last_fault == fault::lost_node;
    bool goes_on = s.attempt > s.ended;
    if (s.ended > s.attempt || (s.state == stage_state::running ? !goes_on : goes_on && !may_be_lost))
      return "4: " + at + " has an attempt that neither runs nor has ended";
    if (s.failures > plan_->stages[i].retry.attempts || s.lost_nodes > limits::lost_nodes_max ||
        (issued && s.failures >= plan_->stages[i].retry.attempts))
      return "5: " + at + " was tried too often";
    if ((!done && !s.outputs.empty()) || (done && !missing_output(i, s.outputs).empty()))
      return "6: " + at + " has files it should not have, or lacks some";
    if (done && !s.captured)
      return "7: " + at + " has succeeded and was not captured";
  }
  bool over = ended();
  if (over == any_open || (phase_ == phase::succeeded) != all_succeeded || (phase_ == phase::failed) != any_failed)
    return "3: the phase is " + std::string{name_of(phase_)} + ", which its stages are not";
  return std::nullopt;
}

} // namespace troupe::workflow
