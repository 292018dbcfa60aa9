#include "actors/job/job_core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <utility>

namespace troupe::jobs {

namespace {

json time_or_null(timestamp at) { return at == 0 ? json() : json(rfc3339(at)); }

double credits_of(micro_credits amount) { return static_cast<double>(amount) / micro_per_credit; }

} // namespace

packed_map packed_fields(const submitted& e) {
  packed_map out("job", e.job, "account", e.account, "workflow", e.workflow, "definition", e.definition);
  out.add("version", e.version, "weight", e.weight, "generation", e.generation, "feed_before", e.feed_before);
  out.add("inputs", e.inputs, "plan", workflow::packed_fields(*e.plan), "at", e.at);
  return out;
}

packed_map packed_fields(const advanced& e) {
  packed_map out("what", workflow::packed_fields(e.what), "device", e.device, "engine", e.engine);
  out.add("preview", e.preview, "run_ms", e.run_ms, "at", e.at);
  return out;
}

workflow::effects job_core::apply(const event& happened) {
  if (auto e = std::get_if<submitted>(&happened)) {
    TROUPE_CHECK(e->plan != nullptr); // checked before the event was made
    origin_ = *e;
    origin_.plan = nullptr; // the run has it
    run_.emplace(e->plan);
    facts_.resize(run_->plan().stages.size());
    workflow::effects none;
    none.changed = true;
    return none;
  }
  if (auto e = std::get_if<advanced>(&happened)) {
    TROUPE_CHECK(exists());
    auto effects = run_->apply(e->what);
    if (effects.changed)
      note(*e, e->what, effects);
    return effects;
  }
  forgotten_at_ = std::get<forgotten>(happened).at;
  workflow::effects none;
  none.changed = true;
  return none;
}

void job_core::note(const advanced& e, const workflow::event& what, const workflow::effects& effects) {
  auto ended = [&](std::uint32_t index) {
    auto& f = facts_[index];
    f.ended_at = e.at;
    f.run_ms = e.run_ms;
    f.progress.reset();
    if (!e.device.empty())
      f.device = e.device;
  };
  if (auto s = std::get_if<workflow::stage_started>(&what)) {
    auto& f = facts_[s->index];
    f.device = e.device;
    f.ended_at = 0;
    if (std::exchange(f.newest, s->attempt) != s->attempt) {
      f.started_at = e.at;
      ++f.attempts;
    }
    if (started_at_ == 0)
      started_at_ = e.at;
  } else if (auto done = std::get_if<workflow::stage_succeeded>(&what)) {
    ended(done->index);
    facts_[done->index].engine = e.engine;
    facts_[done->index].preview = e.preview;
  } else if (auto failed = std::get_if<workflow::stage_failed>(&what)) {
    ended(failed->index);
    auto small = failed->kind == workflow::fault::out_of_memory;
    auto other = failed->kind == workflow::fault::device || failed->kind == workflow::fault::unsuited;
    if ((small || other) && !e.device.empty())
      facts_[failed->index].bad_devices.push_back(e.device);
    if (small && !e.device.empty())
      facts_[failed->index].small_devices.push_back(e.device);
  }
  for (auto index : effects.withdraw)
    facts_[index].progress.reset();
  if (run_->ended() && ended_at_ == 0)
    ended_at_ = e.at;
  else if (!run_->ended())
    ended_at_ = 0; // it is made again
}

micro_credits job_core::charged() const {
  micro_credits sum = 0;
  for (const auto& stage : run_->plan().stages)
    if (run_->at(stage.index).captured)
      sum += stage.price;
  return sum;
}

bool job_core::preview() const {
  return std::any_of(facts_.begin(), facts_.end(), [](const auto& f) { return f.preview; });
}

double job_core::progress() const {
  std::map<std::uint32_t, double> running;
  for (std::uint32_t i = 0; i < facts_.size(); ++i)
    if (facts_[i].progress)
      running[i] = facts_[i].progress->first;
  return run_->progress(running);
}

void job_core::note_progress(std::uint32_t stage, double fraction, std::string step) {
  if (stage < facts_.size())
    facts_[stage].progress = {fraction, std::move(step)};
}

std::vector<job_core::file> job_core::files() const {
  std::vector<file> out;
  for (const auto& r : run_->results()) {
    auto name = r.filename;
    if (auto at = name.find("{job}"); at != std::string::npos)
      name.replace(at, 5, origin_.job);
    out.push_back({r.name, std::move(name), r.file});
  }
  return out;
}

json job_core::stage_view(std::uint32_t index) const {
  const auto& planned = run_->plan().stages[index];
  const auto& now = run_->at(index);
  const auto& f = facts_[index];
  auto charge = now.captured ? planned.price : 0;
  json out = {{"index", index},
              {"name", planned.name},
              {"kind", planned.kind},
              {"status", workflow::name_of(now.state)},
              {"depends_on", planned.dependencies},
              {"device", f.device.empty() ? json() : json(f.device)},
              {"engine", f.engine.empty() ? json() : json(f.engine)},
              {"attempts", f.attempts},
              {"started_at", time_or_null(f.started_at)},
              {"finished_at", time_or_null(f.ended_at)},
              {"run_ms", f.run_ms},
              {"price_credits", credits_of(planned.price)},
              {"charge_credits", credits_of(charge)},
              {"charge_micro_credits", charge}};
  if (f.preview)
    out["preview"] = true;
  if (f.progress) {
    out["progress"] = f.progress->first;
    out["step"] = f.progress->second;
  }
  if (!now.last_message.empty())
    out["last_error"] = now.last_message;
  return out;
}

json job_core::view() const {
  json stages = json::array(), artifacts = json::array();
  for (std::uint32_t i = 0; i < facts_.size(); ++i)
    stages.push_back(stage_view(i));
  for (const auto& f : files())
    artifacts.push_back({{"name", f.name},
                         {"filename", f.filename},
                         {"url", "/api/video/" + f.filename},
                         {"content_type", f.content.content_type},
                         {"bytes", f.content.bytes},
                         {"sha256", f.content.sha256}});
  json out = {{"job_id", origin_.job},
              {"workflow", origin_.workflow},
              {"workflow_version", origin_.version},
              {"status", status()},
              {"progress", progress()},
              {"created_at", rfc3339(origin_.at)},
              {"started_at", time_or_null(started_at_)},
              {"finished_at", time_or_null(ended_at_)},
              {"credits_held", ended() ? 0.0 : credits_of(price() - charged())},
              {"credits_used", credits_of(charged())},
              {"price_micro_credits", price()},
              {"stages", stages},
              {"artifacts", artifacts}};
  if (preview())
    out["preview"] = true;
  if (run_->now() == workflow::phase::failed)
    out["error"] = run_->failure();
  else if (run_->now() == workflow::phase::cancelled)
    out["error"] = "Cancelled";
  return out;
}

packed_map job_core::summary() const {
  packed_list made;
  for (const auto& f : files())
    made.push(packed_map("name", f.name, "filename", f.filename, "content_type", f.content.content_type));
  packed_map out("account", origin_.account, "workflow", origin_.workflow, "status", status());
  out.add("generation", origin_.generation, "feed_before", origin_.feed_before, "inputs", origin_.inputs);
  out.add("created_at", origin_.at, "ended_at", ended_at_, "price", price(), "charged", charged());
  out.add("preview", preview(), "files", made);
  if (run_->now() == workflow::phase::failed)
    out.add("error", run_->failure());
  else if (run_->now() == workflow::phase::cancelled)
    out.add("error", "Cancelled");
  auto ran = std::find_if(facts_.begin(), facts_.end(), [](const auto& f) { return !f.engine.empty(); });
  if (ran != facts_.end())
    out.add("engine", ran->engine);
  return out;
}

json job_core::to_json() const {
  if (!exists())
    return json::object();
  auto out = view();
  out["account"] = origin_.account;
  out["run"] = run_->to_json();
  out["plan"] = workflow::to_json(run_->plan());
  out["inputs"] = origin_.inputs;
  return out;
}

job_core job_core::from_json(const json&) {
  TROUPE_CHECK(false); // jobs are short: they are always replayed from their first event
  return {};
}

void job_core::check_invariants() const {
  if (!exists())
    return;
  run_->check_invariants();
  TROUPE_CHECK(facts_.size() == run_->plan().stages.size());
  TROUPE_CHECK(charged() <= price());
}

} // namespace troupe::jobs
