#include "actors/job/job_actor.hpp"

#include "actors/device/device_messages.hpp"
#include "storage/database.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace troupe {

using storage::row;
using storage::table;

namespace {

constexpr auto poll_every = std::chrono::milliseconds(200);

std::string base64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  auto n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                           reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

json stage_event(const workflow::event& what) { return workflow::to_json(what); }

std::vector<workflow::artifact> artifacts_of(const std::vector<wire::artifact>& in) {
  std::vector<workflow::artifact> out;
  for (const auto& a : in)
    out.push_back({a.port, a.sha256, a.bytes, a.content_type, a.metadata});
  return out;
}

} // namespace

job_actor::job_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, address_book_ptr others,
                     job_options options, std::string job, storage::replayed past)
  : persistent(config, board, journal, actor_kind::job, std::move(job), std::move(past)), others_(std::move(others)),
    options_(options) {}

caf::behavior job_actor::make_behavior() {
  if (!restore())
    return {};
  return {
      on(&job_actor::submit),       on(&job_actor::describe),     on(&job_actor::cancel),       on(&job_actor::forget),
      on(&job_actor::remake),       on(&job_actor::resume),       on(&job_actor::place),        on(&job_actor::moved),
      on(&job_actor::rejected),     on(&job_actor::report),       on(&job_actor::reattached),   on(&job_actor::tick),
      on(&job_actor::inspect_self), on(&job_actor::on_committed), on(&job_actor::on_passivate),
  };
}

bool job_actor::may_sleep() const {
  if (commits_ > 0 || tick_due_ || !awaited_.empty())
    return false;
  if (!core_.exists() || core_.ended())
    return true;
  for (std::uint32_t i = 0; i < core_.run().plan().stages.size(); ++i)
    if (core_.run().at(i).state == workflow::stage_state::running)
      return false;
  return true;
}

// -- commands of the owner
// -----------------------------------------------------------------------------------------------

caf::result<submitted_job> job_actor::submit(submit_job& m) {
  if (core_.exists())
    return refuse(refusal::exists, "the job is there already");
  auto plan = workflow::plan_from_json(m.plan);
  if (!plan)
    return refuse(refusal::invalid, plan.error().message);
  step s;
  event submitted = jobs::submitted{m.job,        m.account,     m.workflow, m.definition,      m.version, m.weight,
                                    m.generation, m.feed_before, m.inputs,   std::move(m.plan), m.at};
  core_.apply(submitted);
  s.events.push_back(std::move(submitted));
  jobs::advanced begun;
  begun.what = stage_event(workflow::started{});
  begun.at = m.at;
  s.effects = core_.apply(event{begun});
  s.events.emplace_back(std::move(begun));
  if (m.allowance > 0)
    s.movements.push_back({"allowance", m.allowance, {}, {}, m.period, "monthly allowance"});
  auto price = core_.price();
  if (price > 0)
    s.movements.push_back({"hold", price, m.job, {}, {}, m.workflow});
  s.rows.push_back({table::account_jobs, storage::key_of(m.account, m.generation), pack(m.job), false});
  s.rows.push_back({table::open_jobs, m.job, pack(m.account), false});
  note(s, "state", {{"status", "queued"}, {"credits_held", price / micro_per_credit}});
  auto promise = make_response_promise<submitted_job>();
  commit_step(
      std::move(s), m.at,
      [this, promise, price](const booked& b) mutable {
        promise.deliver(submitted_job{id(), price, b.balance});
        queue_ready();
      },
      [promise](caf::error why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

caf::result<description> job_actor::describe(describe_job&) {
  if (!core_.exists() || core_.is_forgotten())
    return refuse(refusal::not_found, "no such job");
  auto out = core_.view();
  out["account"] = core_.origin().account;
  return description{std::move(out)};
}

caf::result<description> job_actor::cancel(cancel_job& m) {
  if (!core_.exists() || core_.is_forgotten())
    return refuse(refusal::not_found, "no such job");
  auto s = advance(workflow::cancel_asked{}, {}, m.at);
  if (!s) // ended already: say so once that is durable
    return commit_and_answer({}, m.at);
  return commit_and_answer(std::move(*s), m.at);
}

caf::result<description> job_actor::forget(forget_job& m) {
  if (!core_.exists() || core_.is_forgotten())
    return refuse(refusal::not_found, "no such job");
  if (!core_.ended())
    return refuse(refusal::conflict, "the job has not ended; cancel it first");
  step s;
  const auto& account = core_.origin().account;
  s.rows.push_back({table::account_jobs, storage::key_of(account, core_.origin().generation), std::nullopt, false});
  s.rows.push_back({table::jobs, id(), std::nullopt, false});
  for (const auto& f : core_.files()) {
    s.rows.push_back({table::files, storage::key_of(account, f.filename), std::nullopt, false});
    s.rows.push_back({table::blob_uses, storage::key_of(f.content.sha256, storage::key_of(account, f.filename)),
                      std::nullopt, false});
  }
  event gone = jobs::forgotten{m.at};
  core_.apply(gone);
  s.events.push_back(std::move(gone));
  return commit_and_answer(std::move(s), m.at);
}

caf::result<description> job_actor::remake(remake_artifact& m) {
  if (!core_.exists() || core_.is_forgotten())
    return refuse(refusal::not_found, "no such job");
  for (std::uint32_t i = 0; i < core_.run().plan().stages.size(); ++i) {
    const auto& outputs = core_.run().at(i).outputs;
    if (std::none_of(outputs.begin(), outputs.end(), [&](const auto& a) { return a.sha256 == m.sha256; }))
      continue;
    auto s = core_.ended() ? advance(workflow::rerun{i}, {}, m.at) : advance(workflow::artifact_lost{i}, {}, m.at);
    if (!s)
      return refuse(refusal::conflict, "the stage cannot be run again now");
    if (!core_.ended())
      s->rows.push_back({table::open_jobs, id(), pack(core_.origin().account), false});
    log::warn("job {}: an artifact of stage {} is lost; it is made again", id(), core_.run().plan().stages[i].name);
    return commit_and_answer(std::move(*s), m.at);
  }
  return refuse(refusal::not_found, "no stage of the job made that artifact");
}

// -- placement
// -------------------------------------------------------------------------------------------------------------

caf::result<description> job_actor::resume(resume_job&) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such job");
  auto deadline = steady_ms() + options_.reattach_ms;
  for (std::uint32_t i = 0; i < core_.run().plan().stages.size(); ++i)
    if (core_.run().at(i).state == workflow::stage_state::running)
      awaited_.emplace(i, deadline);
  queue_ready();
  if (!awaited_.empty())
    await_nodes();
  return description{{{"awaited", awaited_.size()}, {"queued", queued_.size()}}};
}

caf::result<description> job_actor::place(place_stage& m) {
  auto at = now_ms();
  auto wanted = core_.exists() && m.stage < core_.run().plan().stages.size();
  if (wanted) {
    auto ready = core_.run().ready(at);
    wanted = std::find(ready.begin(), ready.end(), m.stage) != ready.end();
  }
  if (!wanted)
    return refuse(refusal::conflict, "the stage is not waiting");
  jobs::advanced known;
  known.device = m.device;
  auto was_queued = core_.status() == "queued";
  auto s = advance(workflow::stage_started{m.stage, m.attempt}, std::move(known), at);
  if (!s)
    return refuse(refusal::conflict, "the attempt is stale");
  queued_.erase(m.stage);
  if (was_queued)
    note(*s, "state", {{"status", "running"}});
  tell_stage(*s, m.stage);
  // The one effect that does not wait for the disk: attempt numbers rise over restarts, so an attempt that a crash
  // forgets is either taken back when its node says that it runs, or stopped.
  tell(others_->cluster, run_stage{m.device, assignment(m.stage, m.device, m.attempt)});
  commit_step(
      std::move(*s), at, [](const booked&) {}, [](const caf::error&) {});
  return description{{{"status", "running"}}};
}

caf::result<description> job_actor::moved(stage_moved& m) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such job");
  auto at = now_ms();
  jobs::advanced known;
  known.device = m.device;
  auto s = advance(workflow::stage_failed{m.stage, m.attempt, workflow::fault::lost_node, "its node was lost", at},
                   std::move(known), at);
  if (!s)
    return refuse(refusal::conflict, "the attempt is stale");
  tell_stage(*s, m.stage);
  return commit_and_answer(std::move(*s), at);
}

caf::result<description> job_actor::rejected(stage_rejected& m) {
  if (!core_.exists() || core_.ended())
    return refuse(refusal::not_found, "no such job");
  queued_.erase(m.stage);
  if (m.code == "queue_full" || m.code == "account_queue_full" || m.code == "stopping") {
    tick_due_ = true; // there may be room later
    delayed_send(this, std::chrono::seconds(2), job_tick{0});
    return description{{{"status", core_.status()}}};
  }
  auto at = now_ms();
  auto attempt = core_.run().at(m.stage).attempt + 1;
  auto s = advance(workflow::stage_failed{m.stage, attempt, workflow::fault::bad_input, m.reason, at}, {}, at);
  if (!s)
    return refuse(refusal::conflict, "the stage is not waiting");
  return commit_and_answer(std::move(*s), at);
}

caf::result<description> job_actor::reattached(stage_reattached& m) {
  if (!core_.exists() || m.stage >= core_.run().plan().stages.size() || core_.ended())
    return refuse(refusal::conflict, "the stage is not wanted");
  const auto& now = core_.run().at(m.stage);
  auto same = now.state == workflow::stage_state::running && now.attempt == m.attempt;
  std::optional<step> s;
  auto at = now_ms();
  if (!same) {
    jobs::advanced known;
    known.device = m.device;
    s = advance(workflow::stage_started{m.stage, m.attempt}, std::move(known), at);
    if (!s)
      return refuse(refusal::conflict, "another attempt counts");
    tell_stage(*s, m.stage);
  }
  awaited_.erase(m.stage);
  queued_.erase(m.stage);
  tell(others_->scheduler, attempt_goes_on{{request_for(m.stage), device_id{m.device}, m.attempt}});
  if (s)
    commit_step(
        std::move(*s), at, [](const booked&) {}, [](const caf::error&) {});
  return description{{{"status", "running"}}};
}

// -- what nodes report
// -----------------------------------------------------------------------------------------------------

caf::result<description> job_actor::report(stage_report& m) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such job");
  if (auto r = std::get_if<wire::finished>(&m.what))
    return on_report(m.device, *r);
  if (auto r = std::get_if<wire::failed>(&m.what))
    return on_report(m.device, *r);
  if (auto r = std::get_if<wire::progress>(&m.what))
    return on_report(*r);
  if (auto r = std::get_if<wire::preview>(&m.what))
    return on_report(*r);
  return refuse(refusal::invalid, "no report of an attempt");
}

caf::result<description> job_actor::on_report(const std::string& device, wire::finished& r) {
  auto at = now_ms();
  auto stage = r.ref.stage;
  if (stage >= core_.run().plan().stages.size())
    return refuse(refusal::invalid, "the job has no such stage");
  auto outputs = artifacts_of(r.outputs);
  if (auto missing = core_.run().missing_output(stage, outputs); !missing.empty()) {
    wire::failed f{r.ref, r.device, "unknown", "the engine made no '" + missing + "'", {}, r.run_ms};
    return on_report(device, f);
  }
  jobs::advanced known;
  known.device = device;
  known.engine = r.engine;
  known.preview = r.preview;
  known.run_ms = r.run_ms;
  auto s = advance(workflow::stage_succeeded{stage, r.ref.attempt, std::move(outputs)}, std::move(known), at);
  if (!s) {               // told twice, or stale: the node may forget it once what it repeats is durable
    queued_.erase(stage); // with the attempt the scheduler forgot the stage; it hears of it again if it still waits
    return commit_and_answer({}, at);
  }
  awaited_.erase(stage);
  queued_.erase(stage);
  tell_stage(*s, stage);
  return commit_and_answer(std::move(*s), at);
}

caf::result<description> job_actor::on_report(const std::string& device, wire::failed& r) {
  auto at = now_ms();
  auto stage = r.ref.stage;
  if (stage >= core_.run().plan().stages.size())
    return refuse(refusal::invalid, "the job has no such stage");
  jobs::advanced known;
  known.device = device;
  known.run_ms = r.run_ms;
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
  tell_stage(*s, stage);
  return commit_and_answer(std::move(*s), at);
}

caf::result<description> job_actor::on_report(const wire::progress& r) {
  if (r.ref.stage >= core_.run().plan().stages.size() || core_.run().at(r.ref.stage).attempt != r.ref.attempt ||
      core_.ended())
    return refuse(refusal::conflict, "the attempt is stale");
  core_.note_progress(r.ref.stage, r.fraction, r.step);
  auto now = steady_ms();
  auto& last = told_progress_[r.ref.stage];
  if (now - last < options_.progress_every_ms)
    return description{};
  last = now;
  step s;
  auto running_ms = now_ms() - core_.facts(r.ref.stage).started_at;
  json data = {{"stage", core_.run().plan().stages[r.ref.stage].name},
               {"index", r.ref.stage},
               {"fraction", r.fraction},
               {"step", r.step},
               {"job_fraction", core_.progress()}};
  if (r.fraction > 0.02)
    data["eta_s"] = static_cast<double>(running_ms) * (1 - r.fraction) / r.fraction / 1000;
  note(s, "progress", std::move(data));
  commit_step(
      std::move(s), now_ms(), [](const booked&) {}, [](const caf::error&) {});
  return description{};
}

caf::result<description> job_actor::on_report(const wire::preview& r) {
  if (r.ref.stage >= core_.run().plan().stages.size() || core_.run().at(r.ref.stage).attempt != r.ref.attempt ||
      core_.ended())
    return refuse(refusal::conflict, "the attempt is stale");
  auto now = steady_ms();
  auto& last = told_preview_[r.ref.stage];
  if (now - last < options_.preview_every_ms)
    return description{};
  last = now;
  step s;
  note(s, "preview",
       {{"stage", core_.run().plan().stages[r.ref.stage].name},
        {"index", r.ref.stage},
        {"content_type", "image/jpeg"},
        {"jpeg", base64(r.jpeg)}});
  commit_step(
      std::move(s), now_ms(), [](const booked&) {}, [](const caf::error&) {});
  return description{};
}

// -- steps
// -----------------------------------------------------------------------------------------------------------------

std::optional<job_actor::step> job_actor::advance(workflow::event what, jobs::advanced known, timestamp at) {
  known.what = stage_event(what);
  known.at = at;
  step s;
  event happened = std::move(known);
  s.effects = core_.apply(happened);
  if (!s.effects.changed)
    return std::nullopt;
  s.events.push_back(std::move(happened));
  follow(s, at);
  return s;
}

void job_actor::follow(step& s, timestamp) {
  const auto& stages = core_.run().plan().stages;
  micro_credits charged = 0;
  for (auto index : s.effects.capture) {
    const auto& stage = stages[index];
    if (stage.price <= 0)
      continue;
    charged += stage.price;
    s.movements.push_back({"capture", stage.price, id(), std::to_string(index), {}, stage.name});
    note(s, "charge",
         {{"stage", stage.name},
          {"index", index},
          {"credits", static_cast<double>(stage.price) / micro_per_credit},
          {"micro_credits", stage.price}});
  }
  micro_credits back = 0;
  for (auto index : s.effects.release)
    back += stages[index].price;
  if (back > 0)
    s.movements.push_back({"release", 0, id(), {}, {}, core_.status()});
  if (core_.ended()) {
    s.rows.push_back({table::open_jobs, id(), std::nullopt, false});
    if (core_.run().now() == workflow::phase::succeeded)
      add_result_rows(s);
    tell_end(s);
  }
}

void job_actor::add_result_rows(step& s) const {
  const auto& account = core_.origin().account;
  for (const auto& f : core_.files()) {
    s.rows.push_back({table::files, storage::key_of(account, f.filename),
                      pack({{"sha256", f.content.sha256},
                            {"bytes", f.content.bytes},
                            {"content_type", f.content.content_type},
                            {"metadata", f.content.metadata},
                            {"job", id()}}),
                      false});
    s.rows.push_back({table::blob_uses, storage::key_of(f.content.sha256, storage::key_of(account, f.filename)),
                      std::string{}, false});
    json data = {{"name", f.name},
                 {"filename", f.filename},
                 {"url", "/api/video/" + f.filename},
                 {"content_type", f.content.content_type},
                 {"bytes", f.content.bytes},
                 {"sha256", f.content.sha256}};
    s.feed.push_back(pack({{"event", "artifact"}, {"job", id()}, {"data", std::move(data)}}));
  }
}

void job_actor::note(step& s, const char* what, json data) const {
  s.feed.push_back(pack({{"event", what}, {"job", id()}, {"at", now_ms()}, {"data", std::move(data)}}));
}

void job_actor::tell_stage(step& s, std::uint32_t stage) const {
  const auto& planned = core_.run().plan().stages[stage];
  const auto& now = core_.run().at(stage);
  const auto& facts = core_.facts(stage);
  json data = {{"stage", planned.name},     {"index", stage},
               {"kind", planned.kind},      {"status", workflow::name_of(now.state)},
               {"attempt", facts.attempts}, {"job_fraction", core_.progress()},
               {"device", facts.device}};
  if (now.state == workflow::stage_state::succeeded) {
    data["run_ms"] = facts.run_ms;
    data["engine"] = facts.engine;
  } else if (!now.last_message.empty()) {
    data["error"] = now.last_message;
  }
  // It is told before what it led to (charge, artifact, done).
  s.feed.insert(s.feed.begin(), pack({{"event", "stage"}, {"job", id()}, {"at", now_ms()}, {"data", std::move(data)}}));
}

void job_actor::tell_end(step& s) const {
  json data = {{"status", core_.status()},
               {"credits_used", static_cast<double>(core_.charged()) / micro_per_credit},
               {"micro_credits_used", core_.charged()}};
  if (core_.run().now() == workflow::phase::failed)
    data["error"] = core_.run().failure();
  note(s, "state", {{"status", core_.status()}});
  note(s, "done", std::move(data));
}

void job_actor::commit_step(step s, timestamp at, std::function<void(const booked&)> then,
                            std::function<void(caf::error)> failed) {
  book request;
  request.account = core_.origin().account;
  request.at = at;
  request.movements = std::move(s.movements);
  request.feed = std::move(s.feed);
  request.attached.rows = std::move(s.rows);
  append_into(s.events, request.attached);
  // Lists and polling read the summary: it changes with the status, which any event but a start may have changed.
  if (!s.events.empty() && !core_.is_forgotten())
    request.attached.rows.push_back({table::jobs, id(), pack(core_.summary()), false});
  ++commits_;
  request_ledger(std::move(request), std::move(then), std::move(failed));
}

void job_actor::request_ledger(book request_message, std::function<void(const booked&)> then,
                               std::function<void(caf::error)> failed) {
  request(others_->directory, caf::infinite, routed(std::move(request_message)))
      .then(
          [this, then = std::move(then)](booked& answer) {
            --commits_;
            then(answer);
          },
          [this, failed = std::move(failed)](caf::error& why) {
            --commits_;
            failed(why);
            auto refused = read_refusal(why);
            if (refused.why == refusal::insufficient_credits)
              quit(); // it never was
            else
              drop("its ledger did not take a step: " + refused.message);
          });
}

caf::result<description> job_actor::commit_and_answer(step s, timestamp at) {
  auto promise = make_response_promise<description>();
  auto effects = s.effects;
  commit_step(
      std::move(s), at,
      [this, promise, effects = std::move(effects)](const booked&) mutable {
        promise.deliver(description{{{"job_id", id()}, {"status", core_.status()}}});
        run_effects(effects);
      },
      [promise](caf::error why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

void job_actor::run_effects(const workflow::effects& effects) {
  if (!effects.withdraw.empty()) {
    withdraw_stages withdraw{id(), effects.withdraw};
    for (auto stage : effects.withdraw)
      queued_.erase(stage);
    tell(others_->scheduler, std::move(withdraw));
  }
  if (core_.exists() && !core_.ended())
    queue_ready();
}

// -- the queue
// -------------------------------------------------------------------------------------------------------------

void job_actor::queue_ready() {
  if (core_.ended())
    return;
  std::vector<std::uint32_t> fresh;
  for (auto stage : core_.run().ready(now_ms()))
    if (queued_.insert(stage).second)
      fresh.push_back(stage);
  queue(fresh);
  schedule_tick();
}

void job_actor::queue(const std::vector<std::uint32_t>& stages) {
  if (stages.empty())
    return;
  queue_stages request;
  for (auto stage : stages)
    request.stages.push_back(request_for(stage));
  tell(others_->scheduler, std::move(request));
}

scheduling::stage_request job_actor::request_for(std::uint32_t stage) const {
  const auto& planned = core_.run().plan().stages[stage];
  scheduling::stage_request out;
  out.ref = {job_id{id()}, stage};
  out.account = account_id{core_.origin().account};
  out.weight = core_.origin().weight;
  out.kind = planned.kind;
  out.model = planned.params.value("model", std::string{});
  out.attempt_base = core_.run().at(stage).attempt;
  for (const auto& device : core_.facts(stage).bad_devices)
    out.excluded.push_back(device_id{device});
  return out;
}

wire::assign job_actor::assignment(std::uint32_t stage, const std::string& device, std::uint64_t attempt) const {
  const auto& planned = core_.run().plan().stages[stage];
  wire::assign out;
  out.ref = {id(), stage, attempt};
  out.device = device.substr(device.find('/') + 1);
  out.kind = planned.kind;
  out.params = planned.params;
  out.params["attempt"] = core_.facts(stage).attempts;
  out.timeout_ms = planned.timeout_s * 1000;
  for (const auto& input : core_.run().inputs_of(stage))
    out.inputs.push_back(
        {input.port, input.file.sha256, input.file.bytes, input.file.content_type, input.file.metadata});
  return out;
}

void job_actor::schedule_tick() {
  auto due = core_.run().next_due();
  if (!due || tick_due_)
    return;
  tick_due_ = true;
  delayed_send(this, std::chrono::milliseconds(std::max<std::int64_t>(*due - now_ms(), 1)), job_tick{0});
}

caf::result<void> job_actor::tick(job_tick&) {
  tick_due_ = false;
  if (core_.exists() && !core_.ended())
    queue_ready();
  return {};
}

// After a restart a stage that ran is left to its node for a while: the node says that it still runs, or that it does
// not.
void job_actor::await_nodes() {
  for (const auto& [stage, deadline] : std::map(awaited_)) {
    const auto& now = core_.run().at(stage);
    if (core_.ended() || now.state != workflow::stage_state::running) {
      awaited_.erase(stage);
      continue;
    }
    auto give_up = [this, stage = stage, attempt = now.attempt](const char* why) {
      if (awaited_.erase(stage) == 0)
        return;
      auto at = now_ms();
      auto s = advance(workflow::stage_failed{stage, attempt, workflow::fault::lost_node, why, at}, {}, at);
      if (!s)
        return;
      tell_stage(*s, stage);
      auto effects = s->effects;
      commit_step(
          std::move(*s), at, [this, effects](const booked&) { run_effects(effects); }, [](const caf::error&) {});
    };
    if (steady_ms() >= deadline) {
      give_up("its node did not come back");
      continue;
    }
    request(others_->cluster, std::chrono::seconds(5),
            attempt_asked{core_.facts(stage).device, id(), stage, now.attempt})
        .then(
            [give_up](description& d) {
              if (d.value.contains("runs") && !d.value["runs"].get<bool>())
                give_up("its node does not run it any more");
            },
            [](caf::error&) {});
  }
  if (!awaited_.empty())
    run_delayed(poll_every, [this] { await_nodes(); });
}

} // namespace troupe
