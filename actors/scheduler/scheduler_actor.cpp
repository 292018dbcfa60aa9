#include "actors/scheduler/scheduler_actor.hpp"

#include "actors/device/device_messages.hpp"
#include "common/log.hpp"

namespace troupe {

namespace {

constexpr auto tick_every = std::chrono::milliseconds(500);
constexpr auto ask_again = std::chrono::seconds(2);
constexpr std::uint64_t patience = 120; // ticks that a job has to take a placement: a minute
constexpr std::size_t given_up_max = 10'000;

} // namespace

scheduler_actor::scheduler_actor(caf::actor_config& config, actor_board& board, address_book_ptr others,
                                 scheduling::limits limits, std::uint32_t epoch)
  : visible(config, board, "scheduler", "main", ""), others_(std::move(others)),
    full_from_(std::min(limits.queue_max, limits.queue_per_account)), core_(limits, epoch) {}

caf::behavior scheduler_actor::make_behavior() {
  delayed_send(this, tick_every, scheduler_tick{0});
  return {
      on(&scheduler_actor::queue),        on(&scheduler_actor::withdraw),    on(&scheduler_actor::over),
      on(&scheduler_actor::goes_on),      on(&scheduler_actor::joined),      on(&scheduler_actor::left),
      on(&scheduler_actor::explain),      on(&scheduler_actor::queue_state), on(&scheduler_actor::tick),
      on(&scheduler_actor::admission),    on(&scheduler_actor::wanted),      on(&scheduler_actor::placement),
      on(&scheduler_actor::inspect_self),
  };
}

caf::result<void> scheduler_actor::queue(queue_stages& m) {
  for (auto& stage : m.stages)
    apply(scheduling::stage_queued{std::move(stage)});
  return {};
}

caf::result<void> scheduler_actor::withdraw(withdraw_stages& m) {
  for (auto& stage : m.stages)
    apply(std::move(stage));
  return {};
}

caf::result<void> scheduler_actor::over(attempt_over& m) {
  apply(m.what);
  return {};
}

caf::result<void> scheduler_actor::goes_on(attempt_goes_on& m) {
  apply(m.what);
  return {};
}

caf::result<void> scheduler_actor::joined(device_joined& m) {
  apply(m.what);
  return {};
}

caf::result<void> scheduler_actor::left(device_left& m) {
  apply(scheduling::device_down{device_id{m.device}});
  return {};
}

caf::result<description> scheduler_actor::explain(explain_waiting& m) {
  json out = json::object();
  for (auto stage : m.stages) {
    scheduling::stage_ref ref{job_id{m.job}, stage};
    auto why = core_.why_waiting(ref);
    if (!why)
      continue;
    json one = {{"code", why->code}, {"reason", why->text}};
    if (auto position = core_.position(ref))
      one["position"] = *position;
    if (auto eta = core_.eta_ms(ref))
      one["eta_ms"] = *eta;
    out[std::to_string(stage)] = std::move(one);
  }
  return description{std::move(out)};
}

caf::result<description> scheduler_actor::queue_state(read_queue& m) {
  auto load = core_.load_of(account_id{m.account});
  return description{{{"length", core_.queue_length()},
                      {"running", core_.running()},
                      {"account_waiting", load.waiting},
                      {"account_running", load.running}}};
}

caf::result<description> scheduler_actor::admission(ask_admission& m) {
  auto full = core_.would_refuse(account_id{m.account});
  if (!full)
    return description{json::object()};
  return description{
      {{"code", full->code}, {"reason", full->reason}, {"retry_after_s", (full->retry_after_ms + 999) / 1000}}};
}

caf::result<void> scheduler_actor::wanted(device_wanted& m) {
  if (m.state == "enabled")
    apply(scheduling::device_enable{device_id{m.device}});
  else
    apply(scheduling::device_drain{device_id{m.device}, m.state == "quarantined", m.forgiven});
  return {};
}

caf::result<description> scheduler_actor::placement(list_placement&) {
  constexpr std::size_t devices_max = 10'000;
  auto state = core_.inspect(devices_max);
  json out = json::object();
  for (auto& device : state.at("devices")) {
    auto name = device.at("device").get<std::string>();
    out[name] = std::move(device);
  }
  return description{std::move(out)};
}

caf::result<void> scheduler_actor::tick(scheduler_tick&) {
  ++ticks_;
  give_up_what_is_not_answered();
  apply(scheduling::tick{});
  delayed_send(this, tick_every, scheduler_tick{0});
  return {};
}

void scheduler_actor::apply(const scheduling::event& happened) {
  commands_.clear();
  core_.apply(happened, steady_ms(), commands_);
  others_->a_line_may_be_full = core_.queue_length() >= full_from_;
  for (auto& command : std::exchange(commands_, {}))
    std::visit([this](const auto& c) { carry_out(c); }, command);
}

// How long it takes is looked at each tick: a time-out of each request would cost as much as the start.
void scheduler_actor::carry_out(const scheduling::start& c) {
  asked_.emplace(c.attempt, placement_asked{c, ticks_});
  request(others_->directory, caf::infinite,
          routed(place_stage{c.ref.job.value, c.ref.stage, c.device.value, c.attempt, c.second, c.session}))
      .then([this, attempt = c.attempt](description&) { taken(attempt); },
            [this, attempt = c.attempt](caf::error& why) { not_taken(attempt, read_refusal(why)); });
}

void scheduler_actor::taken(std::uint64_t attempt) {
  if (asked_.erase(attempt) > 0)
    return;
  if (auto late = given_up_.extract(attempt)) // its slot is another's
    carry_out(scheduling::stop{late.mapped().ref, late.mapped().device, attempt});
}

// A job that does not want the stage any more, or cannot be read, must not keep the slot.
void scheduler_actor::not_taken(std::uint64_t attempt, const refused& why) {
  auto placement = asked_.extract(attempt);
  if (!placement) {
    given_up_.erase(attempt);
    return;
  }
  const auto& c = placement.mapped().what;
  apply(scheduling::stage_ended{c.ref, c.attempt, c.device, scheduling::outcome::cancelled, 0});
  if (why.why != refusal::unavailable)
    return;
  log::warn("job {} did not take a device for stage {}: {}; it is asked again", c.ref.job.value, c.ref.stage,
            why.message);
  delayed_anon_send(others_->directory, ask_again, routed(resume_job{c.ref.job.value}));
}

void scheduler_actor::give_up_what_is_not_answered() {
  while (!asked_.empty() && asked_.begin()->second.tick + patience <= ticks_) {
    auto c = asked_.begin()->second.what;
    given_up_.emplace(c.attempt, c);
    if (given_up_.size() > given_up_max)
      given_up_.erase(given_up_.begin());
    not_taken(c.attempt, {refusal::unavailable, "it has not answered for a minute; is the disk slow?", {}});
  }
}

void scheduler_actor::carry_out(const scheduling::stop& c) {
  tell(others_->cluster, stop_stage{c.device.value, c.ref.job.value, c.ref.stage, c.attempt});
}

void scheduler_actor::carry_out(const scheduling::moved& c) {
  tell(others_->directory, routed(stage_moved{c.ref.job.value, c.ref.stage, c.device.value, c.attempt}));
}

void scheduler_actor::carry_out(const scheduling::reject& c) {
  log::warn("stage {} of job {} cannot wait: {} ({})", c.ref.stage, c.ref.job.value, c.reason, c.code);
  tell(others_->directory, routed(stage_rejected{c.ref.job.value, c.ref.stage, c.code, c.reason}));
}

void scheduler_actor::carry_out(const scheduling::quarantined& c) {
  log::error("device {} is quarantined: {}; look at its node's log, then enable it", c.device.value, c.reason);
  entry().note_error(c.device.value + " is quarantined: " + c.reason);
  tell(others_->cluster, device_quarantined{c.device.value, c.reason});
}

void scheduler_actor::carry_out(const scheduling::released& c) {
  log::info("device {} is out of quarantine{}", c.device.value, c.by_time ? "; its next failure brings it back" : "");
  tell(others_->cluster, device_quarantined{c.device.value, {}});
}

} // namespace troupe
