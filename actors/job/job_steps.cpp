#include "actors/job/job_actor.hpp"

#include "actors/job/open_job.hpp"

// One step of the run and its batch: events, money, rows, and what listeners are told.

#include "storage/database.hpp"

#include <algorithm>
#include <iterator>

namespace troupe {

using storage::table;

std::optional<job_actor::step> job_actor::advance(workflow::event what, jobs::advanced known, timestamp at) {
  known.what = std::move(what);
  known.at = at;
  step s;
  event happened = std::move(known);
  auto waited = core_.run().now() == workflow::phase::queued;
  s.effects = core_.apply(happened);
  if (!s.effects.changed)
    return std::nullopt;
  if (waited && core_.run().now() == workflow::phase::running) // from here on only the job knows what is to be queued
    s.rows.push_back({table::open_jobs, id(), jobs::pack_open_job(core_.origin().account), false});
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
         {"stage", stage.name, "index", index, "credits", static_cast<double>(stage.price) / micro_per_credit,
          "micro_credits", stage.price});
  }
  if (core_.ended()) {
    if (core_.price() > 0) // also when all of it was captured: the hold is over
      s.movements.push_back({"release", 0, id(), {}, {}, core_.status()});
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
                      packed_map("sha256", f.content.sha256, "bytes", f.content.bytes, "content_type",
                                 f.content.content_type, "metadata", f.content.metadata, "job", id())
                          .record(),
                      false});
    s.rows.push_back({table::blob_uses, storage::key_of(f.content.sha256, storage::key_of(account, f.filename)),
                      std::string{}, false});
    packed_map data("name", f.name, "filename", f.filename, "url", "/api/video/" + f.filename);
    data.add("content_type", f.content.content_type, "bytes", f.content.bytes, "sha256", f.content.sha256);
    note(s, "artifact", data);
  }
}

std::string job_actor::entry_of(const char* what, const packed_map& data) const {
  return packed_map("event", what, "job", id(), "at", now_ms(), "data", data).record();
}

void job_actor::note(step& s, const char* what, const packed_map& data) const {
  s.feed.push_back(entry_of(what, data));
}

void job_actor::tell_stage(step& s, std::uint32_t stage) const {
  const auto& planned = core_.run().plan().stages[stage];
  const auto& now = core_.run().at(stage);
  const auto& facts = core_.facts(stage);
  packed_map data("stage", planned.name, "index", stage, "kind", planned.kind);
  data.add("status", workflow::name_of(now.state), "attempt", facts.attempts);
  data.add("job_fraction", core_.progress(), "device", facts.device);
  if (now.state == workflow::stage_state::succeeded)
    data.add("run_ms", facts.run_ms, "engine", facts.engine);
  else if (!now.last_message.empty())
    data.add("error", now.last_message);
  s.feed.insert(s.feed.begin(), entry_of("stage", data)); // before what it led to (charge, artifact, done)
}

void job_actor::tell_end(step& s) const {
  packed_map data("status", core_.status(), "credits_used", static_cast<double>(core_.charged()) / micro_per_credit,
                  "micro_credits_used", core_.charged());
  if (core_.run().now() == workflow::phase::failed)
    data.add("error", core_.run().failure());
  note(s, "state", {"status", core_.status()});
  note(s, "done", data);
}

void job_actor::commit_step(step s, timestamp at, std::function<void(const booked&)> then,
                            std::function<void(caf::error)> failed) {
  if (kept_)
    s = join(*std::exchange(kept_, {}), std::move(s));
  book request;
  request.account = core_.origin().account;
  request.at = at;
  request.movements = std::move(s.movements);
  request.feed = std::move(s.feed);
  request.attached.rows = std::move(s.rows);
  append_into(s.events, request.attached);
  // Lists and polling read the summary: it changes with the status, which any event but a start may have changed.
  if (!s.events.empty() && !core_.is_forgotten())
    request.attached.rows.push_back({table::jobs, id(), core_.summary().record(), false});
  if (core_.is_forgotten()) // what was asked for is its owner's: nothing of it is kept
    request.attached.erasures.push_back({storage::erasure::part::actor, key()});
  ++commits_;
  request_ledger(std::move(request), std::move(then), std::move(failed));
}

void job_actor::keep_back(step s) {
  kept_ = kept_ ? join(std::move(*kept_), std::move(s)) : std::move(s);
  if (!std::exchange(kept_due_, true))
    tell(others_->start_timer, caf::actor_cast<caf::actor>(this));
}

caf::result<void> job_actor::write_kept(kept_too_long&) {
  kept_due_ = false;
  if (kept_)
    commit_step({}, now_ms());
  return {};
}

// The effects of what was kept back were run when it was.
job_actor::step job_actor::join(step first, step then) {
  auto append = [](auto& to, auto& from) { std::move(from.begin(), from.end(), std::back_inserter(to)); };
  append(first.events, then.events);
  append(first.movements, then.movements);
  append(first.rows, then.rows);
  append(first.feed, then.feed);
  first.effects = std::move(then.effects);
  return first;
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
            if (refused.why == refusal::insufficient_credits || refused.why == refusal::spend_limit_exceeded)
              quit(); // it never was
            else
              drop("its ledger did not take a step: " + refused.message);
          });
}

caf::result<description> job_actor::commit_and_answer(step s, timestamp at) {
  auto promise = make_response_promise<description>();
  auto over = withdrawal_of(s.effects);
  commit_step(
      std::move(s), at,
      [this, promise, status = core_.status(), over = std::move(over)](const booked&) mutable {
        tell_scheduler(std::move(over)); // first: the job goes on with it
        promise.deliver(description{
            {{"job_id", id()}, {"status", status}}}); // as this step left it: later ones are not on the disk
        if (core_.is_forgotten())
          quit(); // memory is to forget it, too
      },
      [promise](caf::error why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

// Memory may be ahead of the step that this is the effect of: the stage may have been queued and placed anew since.
withdraw_stages job_actor::withdrawal_of(const workflow::effects& effects) const {
  withdraw_stages out;
  for (auto stage : effects.withdraw) {
    auto newest = core_.run().at(stage).attempt;
    if (auto second = seconds_.find(stage); second != seconds_.end())
      newest = std::max(newest, second->second.attempt);
    out.stages.push_back({{job_id{id()}, stage}, newest});
  }
  return out;
}

void job_actor::tell_scheduler(withdraw_stages over) {
  for (const auto& stage : over.stages)
    queued_.erase(stage.ref.stage); // if it is wanted again, it is queued again
  if (!over.stages.empty())
    tell(others_->scheduler, std::move(over));
  if (core_.exists() && !core_.ended())
    queue_ready();
}

} // namespace troupe
