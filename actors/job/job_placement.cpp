#include "actors/job/job_actor.hpp"

// A stage's way to a device: the scheduler's queue, the placement, and what a restart or a lost node makes of it.

#include "actors/device/device_messages.hpp"

#include <algorithm>

namespace troupe {

namespace {

static_assert(static_cast<int>(workflow::stage_class::interactive) ==
              static_cast<int>(scheduling::priority_class::interactive));
static_assert(static_cast<int>(workflow::stage_class::preemptible) ==
              static_cast<int>(scheduling::priority_class::preemptible));

constexpr auto poll_every = std::chrono::milliseconds(200);
constexpr std::int64_t look_again_ms = 1'000; // after what waits for its next attempt

} // namespace

caf::result<description> job_actor::resume(resume_job&) {
  if (!core_.exists())
    return refuse(refusal::not_found, "no such job");
  compare_notes();
  return description{{{"awaited", awaited_.size()}, {"queued", queued_.size()}}};
}

// A job that is idle and cannot sleep waits for someone's word: it makes sure that there is one to come.
caf::result<bool> job_actor::on_passivate(passivate& m) {
  if (commits_ == 0 && !kept_ && !may_sleep())
    compare_notes();
  return persistent::on_passivate(m);
}

// A message is lost with the actor or process that it was for. The scheduler overlooks what it knows already, and the
// devices say what they run; so this may be done at any time.
void job_actor::compare_notes() {
  if (core_.ended())
    return;
  auto deadline = steady_ms() + options_.reattach_ms;
  for (std::uint32_t i = 0; i < core_.run().plan().stages.size(); ++i)
    if (core_.run().at(i).state == workflow::stage_state::running)
      awaited_.emplace(i, deadline);
  queued_.clear();
  queue_ready();
  if (!awaited_.empty() && !asking_)
    ask_devices();
}

caf::result<description> job_actor::place(place_stage& m) {
  if (m.second)
    return place_second(m);
  auto at = now_ms();
  auto wanted = core_.exists() && m.stage < core_.run().plan().stages.size();
  if (wanted) {
    auto ready = core_.run().ready(at);
    wanted = std::find(ready.begin(), ready.end(), m.stage) != ready.end();
  }
  if (!wanted) {
    queued_.erase(m.stage); // the scheduler forgets it with this answer
    return refuse(refusal::conflict, "the stage is not waiting");
  }
  jobs::advanced known;
  known.device = m.device;
  auto was_queued = core_.status() == "queued";
  std::optional<step> s;
  if (m.attempt > core_.run().at(m.stage).attempt) // a lost one goes on, but is not given out twice
    s = advance(workflow::stage_started{m.stage, m.attempt}, std::move(known), at);
  queued_.erase(m.stage);
  turned_away_.erase(m.stage);
  if (!s) {
    tick_soon(std::chrono::milliseconds(100)); // it is queued anew after the scheduler has had this answer
    return refuse(refusal::conflict, "the attempt is stale");
  }
  if (was_queued)
    note(*s, "state", {"status", "running"});
  tell_stage(*s, m.stage);
  // The one effect that does not wait for the disk: attempt numbers rise over restarts, so an attempt that a crash
  // forgets is either taken back when its node says that it runs, or stopped.
  tell(others_->cluster, run_stage{m.device, assignment(m.stage, m.device, m.attempt), m.session});
  keep_back(std::move(*s));
  return description{{{"status", "running"}}};
}

// The run hears nothing of it: attempts rise, so whichever result comes first is taken and makes the other stale, also
// after a restart. Only that it failed is not told while the first still runs.
caf::result<description> job_actor::place_second(const place_stage& m) {
  auto runs = core_.exists() && m.stage < core_.run().plan().stages.size() &&
              core_.run().at(m.stage).state == workflow::stage_state::running &&
              core_.run().at(m.stage).attempt < m.attempt && core_.run().plan().stages[m.stage].speculative;
  if (!runs)
    return refuse(refusal::conflict, "the stage does not run, or may not run twice");
  seconds_[m.stage] = {m.attempt, m.device};
  log::info("job {}: stage {} takes long; it runs a second time, on {}", id(), core_.run().plan().stages[m.stage].name,
            m.device);
  tell(others_->cluster, run_stage{m.device, assignment(m.stage, m.device, m.attempt), m.session});
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
  if (core_.run().at(m.stage).state != workflow::stage_state::ready) // the scheduler has it waiting again
    s->effects.withdraw.push_back(m.stage);
  return commit_and_answer(std::move(*s), at);
}

caf::result<description> job_actor::rejected(stage_rejected& m) {
  if (!core_.exists() || core_.ended())
    return refuse(refusal::not_found, "no such job");
  queued_.erase(m.stage);
  if (m.code == "queue_full" || m.code == "account_queue_full" || m.code == "stopping") {
    turned_away_[m.stage] = {m.code, m.reason};
    tick_soon(std::chrono::seconds(2)); // there may be room later
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
  if (!is_told_by_its_node(m.device, {m.job, m.stage, m.attempt}))
    return refuse(refusal::conflict, "it was not given to this node");
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
    commit_step(std::move(*s), at);
  auto for_ms = std::max<std::int64_t>(0, at - core_.facts(m.stage).started_at);
  return description{{{"status", "running"},
                      {"for_ms", for_ms},
                      {"timeout_ms", std::int64_t{1000} * core_.run().plan().stages[m.stage].timeout_s}}};
}

// -- the queue
// -----------------------------------------------------------------------------------------------------------

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
  out.priority = static_cast<scheduling::priority_class>(planned.urgency);
  out.may_run_twice = planned.speculative;
  out.estimate_ms = planned.estimate_ms;
  out.vram_mib = planned.vram_mib;
  for (const auto& device : core_.facts(stage).bad_devices)
    out.excluded.push_back(device_id{device});
  for (const auto& device : core_.facts(stage).small_devices)
    out.outgrown.push_back(device_id{device});
  for (const auto& input : planned.inputs)
    for (const auto& from : input.from) { // the node that made a file has it in its cache
      const auto& device = core_.facts(from.instance).device;
      node_id node{device.substr(0, device.find('/'))};
      if (!node.empty() && std::find(out.near.begin(), out.near.end(), node) == out.near.end())
        out.near.push_back(std::move(node));
    }
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

// No alarm is far away: it would keep a nearer one from being set, and the clock may be set back meanwhile. Nor is one
// set at once for what is due already: that waits in the queue.
void job_actor::schedule_tick() {
  if (auto due = core_.run().next_due()) {
    auto wait = *due - now_ms();
    tick_soon(std::chrono::milliseconds(wait > 0 ? std::min(wait, look_again_ms) : look_again_ms));
  }
}

void job_actor::tick_soon(std::chrono::milliseconds after) {
  if (std::exchange(tick_due_, true))
    return;
  delayed_send(this, after, job_tick{0});
}

caf::result<void> job_actor::tick(job_tick&) {
  tick_due_ = false;
  if (core_.exists() && !core_.ended())
    queue_ready();
  return {};
}

// -- what ran before --------------------------------------------------------------------------------------------------

// After a restart a stage that ran is left to its node for a while: the node says that it still runs, or that it does
// not.
void job_actor::ask_devices() {
  asking_ = false;
  for (const auto& [stage, deadline] : std::map(awaited_)) {
    const auto& now = core_.run().at(stage);
    if (core_.ended() || now.state != workflow::stage_state::running)
      awaited_.erase(stage);
    else if (steady_ms() >= deadline)
      give_up(stage, now.attempt, "its node did not come back");
    else
      ask_device(stage, now.attempt);
  }
  if (awaited_.empty())
    return;
  asking_ = true;
  run_delayed(poll_every, [this] { ask_devices(); });
}

void job_actor::ask_device(std::uint32_t stage, std::uint64_t attempt) {
  const auto& device = core_.facts(stage).device;
  request(others_->cluster, std::chrono::seconds(5), attempt_asked{device, id(), stage, attempt})
      .then(
          [this, stage, attempt, device](description& d) {
            if (!d.value.contains("runs"))
              return; // the device is not there yet
            if (!d.value["runs"].get<bool>())
              return give_up(stage, attempt, "its node does not run it any more");
            const auto& now = core_.run().at(stage);
            if (now.state != workflow::stage_state::running || now.attempt != attempt)
              return;
            if (awaited_.erase(stage) > 0)
              tell(others_->scheduler, attempt_goes_on{{request_for(stage), device_id{device}, attempt}});
          },
          [](caf::error&) {});
}

void job_actor::give_up(std::uint32_t stage, std::uint64_t attempt, const char* why) {
  if (awaited_.erase(stage) == 0)
    return;
  auto at = now_ms();
  auto s = advance(workflow::stage_failed{stage, attempt, workflow::fault::lost_node, why, at}, {}, at);
  if (!s)
    return;
  tell_stage(*s, stage);
  auto over = withdrawal_of(s->effects);
  commit_step(std::move(*s), at, [this, over](const booked&) { tell_scheduler(over); });
}

} // namespace troupe
