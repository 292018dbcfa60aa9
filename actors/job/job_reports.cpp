#include "actors/job/job_actor.hpp"

// What nodes report of attempts.

#include <openssl/evp.h>

#include <algorithm>

namespace troupe {

namespace {

std::string base64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  auto n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                           reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::vector<workflow::artifact> artifacts_of(const std::vector<wire::artifact>& in) {
  std::vector<workflow::artifact> out;
  for (const auto& a : in)
    out.push_back({a.port, a.sha256, a.bytes, a.content_type, a.metadata});
  return out;
}

/// True when what began at `last` may be told again; then it is told now.
bool is_time(std::int64_t& last, std::int64_t every_ms) {
  auto now = steady_ms();
  if (now - last < every_ms)
    return false;
  last = now;
  return true;
}

} // namespace

bool job_actor::is_live(const wire::attempt_ref& ref) const {
  return !core_.ended() && ref.stage < core_.run().plan().stages.size() &&
         core_.run().at(ref.stage).attempt == ref.attempt;
}

// Its failure says nothing yet: the first attempt goes on.
bool job_actor::is_second_beside_the_first(const wire::attempt_ref& ref) const {
  auto second = seconds_.find(ref.stage);
  return second != seconds_.end() && second->second.attempt == ref.attempt && !core_.ended() &&
         core_.run().at(ref.stage).state == workflow::stage_state::running &&
         core_.run().at(ref.stage).attempt < ref.attempt;
}

// The run, which ended, withdraws the attempts that it knows of.
void job_actor::withdraw_seconds() {
  if (!core_.ended() || seconds_.empty())
    return;
  withdraw_stages all;
  for (const auto& [stage, second] : std::exchange(seconds_, {}))
    all.stages.push_back({{job_id{id()}, stage}, second.attempt});
  tell(others_->scheduler, std::move(all));
}

// Of an attempt that the job does not know, only an earlier life of the head can have been the giver: it died before
// the start was written. A job that is younger than this life has none.
bool job_actor::is_told_by_its_node(const std::string& device, const wire::attempt_ref& ref) const {
  auto node_of = [](std::string_view name) { return name.substr(0, name.find('/')); };
  auto known = core_.run().at(ref.stage).attempt;
  if (ref.attempt == known)
    return node_of(core_.facts(ref.stage).device) == node_of(device);
  if (ref.attempt < known)
    return true; // it is stale, whoever had it, and changes nothing
  if (auto second = seconds_.find(ref.stage); second != seconds_.end() && second->second.attempt == ref.attempt)
    return node_of(second->second.device) == node_of(device);
  return ref.attempt < options_.fence && core_.origin().at < options_.began_at;
}

std::uint32_t job_actor::believable_ms(const wire::attempt_ref& ref, std::uint32_t said, timestamp at) const {
  auto known = core_.run().at(ref.stage).attempt == ref.attempt;
  auto since = known ? core_.facts(ref.stage).started_at : core_.origin().at;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(at - since, 0, said));
}

caf::result<description> job_actor::report(stage_report& m) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such job");
  if (auto r = std::get_if<wire::finished>(&m.what))
    return on_report(m.device, *r);
  if (auto r = std::get_if<wire::failed>(&m.what))
    return on_report(m.device, *r);
  if (auto r = std::get_if<wire::progress>(&m.what))
    return on_report(m.device, *r);
  if (auto r = std::get_if<wire::preview>(&m.what))
    return on_report(m.device, *r);
  return refuse(refusal::invalid, "no report of an attempt");
}

caf::result<description> job_actor::on_report(const std::string& device, wire::finished& r) {
  auto at = now_ms();
  auto stage = r.ref.stage;
  if (stage >= core_.run().plan().stages.size())
    return refuse(refusal::invalid, "the job has no such stage");
  if (!is_told_by_its_node(device, r.ref))
    return disbelieve(device, r.ref);
  auto outputs = artifacts_of(r.outputs);
  if (auto missing = core_.run().missing_output(stage, outputs); !missing.empty()) {
    wire::failed f{r.ref, r.device, "unknown", "the engine made no '" + missing + "'", {}, r.run_ms};
    return on_report(device, f);
  }
  jobs::advanced known;
  known.device = device;
  known.engine = r.engine;
  known.preview = r.preview;
  known.run_ms = believable_ms(r.ref, r.run_ms, at);
  auto s = advance(workflow::stage_succeeded{stage, r.ref.attempt, std::move(outputs)}, std::move(known), at);
  if (!s) {               // told twice, or stale: the node may forget it once what it repeats is durable
    queued_.erase(stage); // with the attempt the scheduler forgot the stage; it hears of it again if it still waits
    return commit_and_answer({}, at);
  }
  awaited_.erase(stage);
  queued_.erase(stage);
  tell_stage(*s, stage);
  auto answer = commit_and_answer(std::move(*s), at); // withdraws the second attempt, too, where the first was lost
  seconds_.erase(stage);
  withdraw_seconds();
  return answer;
}

caf::result<description> job_actor::on_report(const std::string& device, wire::failed& r) {
  auto at = now_ms();
  auto stage = r.ref.stage;
  if (stage >= core_.run().plan().stages.size())
    return refuse(refusal::invalid, "the job has no such stage");
  if (!is_told_by_its_node(device, r.ref))
    return disbelieve(device, r.ref);
  if (is_second_beside_the_first(r.ref)) {
    seconds_.erase(stage);
    return commit_and_answer({}, at);
  }
  jobs::advanced known;
  known.device = device;
  known.run_ms = believable_ms(r.ref, r.run_ms, at);
  std::optional<step> s;
  auto current =
      core_.run().at(stage).state == workflow::stage_state::running && core_.run().at(stage).attempt == r.ref.attempt;
  if (current && (r.fault == "missing_input" || r.fault == "corrupt_input")) {
    if (auto producer = core_.run().producer_of(stage, r.artifact)) {
      log::error("job {}: an input of stage {} is {}; stage {} makes it again", id(),
                 core_.run().plan().stages[stage].name, r.fault == "missing_input" ? "gone" : "corrupt",
                 core_.run().plan().stages[*producer].name);
      s = advance(workflow::artifact_lost{*producer}, known, at);
    }
  }
  if (!s)
    s = advance(workflow::stage_failed{stage, r.ref.attempt, workflow::fault_of(r.fault), r.message, at}, known, at);
  if (!s) {
    queued_.erase(stage);
    return commit_and_answer({}, at);
  }
  awaited_.erase(stage);
  queued_.erase(stage); // it may have been queued while it ran: another attempt, or one that a crash forgot
  withdraw_seconds();
  tell_stage(*s, stage);
  return commit_and_answer(std::move(*s), at);
}

caf::result<description> job_actor::disbelieve(const std::string& device, const wire::attempt_ref& ref) {
  log::warn("job {}: {} tells the end of attempt {} of stage {}, which it was not given; it is not believed", id(),
            device, ref.attempt, ref.stage);
  queued_.erase(ref.stage); // should the scheduler have believed it, it forgot the stage
  return commit_and_answer({}, now_ms());
}

caf::result<description> job_actor::on_report(const std::string& device, const wire::progress& r) {
  if (!is_live(r.ref) || !is_told_by_its_node(device, r.ref))
    return refuse(refusal::conflict, "the attempt is stale");
  core_.note_progress(r.ref.stage, r.fraction, r.step);
  if (!is_time(told_progress_[r.ref.stage], options_.progress_every_ms))
    return description{};
  step s;
  auto running_ms = now_ms() - core_.facts(r.ref.stage).started_at;
  packed_map data("stage", core_.run().plan().stages[r.ref.stage].name, "index", r.ref.stage, "fraction", r.fraction);
  data.add("step", r.step, "job_fraction", core_.progress());
  if (r.fraction > 0.02)
    data.add("eta_s", static_cast<double>(running_ms) * (1 - r.fraction) / r.fraction / 1000);
  note(s, "progress", data);
  commit_step(std::move(s), now_ms());
  return description{};
}

caf::result<description> job_actor::on_report(const std::string& device, const wire::preview& r) {
  if (!is_live(r.ref) || !is_told_by_its_node(device, r.ref))
    return refuse(refusal::conflict, "the attempt is stale");
  if (!is_time(told_preview_[r.ref.stage], options_.preview_every_ms))
    return description{};
  step s;
  note(s, "preview",
       {"stage", core_.run().plan().stages[r.ref.stage].name, "index", r.ref.stage, "content_type", "image/jpeg",
        "jpeg", base64(r.jpeg)});
  commit_step(std::move(s), now_ms());
  return description{};
}

} // namespace troupe
