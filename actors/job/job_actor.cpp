#include "actors/job/job_actor.hpp"

#include "actors/job/open_job.hpp"

#include "storage/database.hpp"

#include <algorithm>

namespace troupe {

using storage::table;

job_actor::job_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, address_book_ptr others,
                     job_options options, std::string job, storage::replayed past)
  : persistent(config, board, journal, actor_kind::job, std::move(job), std::move(past)), others_(std::move(others)),
    options_(options) {}

caf::behavior job_actor::make_behavior() {
  if (!restore())
    return {};
  return {
      on(&job_actor::submit),       on(&job_actor::describe),     on(&job_actor::cancel),
      on(&job_actor::forget),       on(&job_actor::remake),       on(&job_actor::resume),
      on(&job_actor::place),        on(&job_actor::moved),        on(&job_actor::rejected),
      on(&job_actor::report),       on(&job_actor::reattached),   on(&job_actor::tick),
      on(&job_actor::inspect_self), on(&job_actor::on_committed), on(&job_actor::on_passivate),
      on(&job_actor::write_kept),   on(&job_actor::explain),
  };
}

bool job_actor::may_sleep() const {
  if (commits_ > 0 || kept_ || tick_due_ || !awaited_.empty())
    return false;
  if (!core_.exists() || core_.ended())
    return true;
  for (std::uint32_t i = 0; i < core_.run().plan().stages.size(); ++i)
    if (core_.run().at(i).state == workflow::stage_state::running)
      return false;
  return true;
}

caf::result<submitted_job> job_actor::submit(submit_job& m) {
  if (core_.exists())
    return refuse(refusal::exists, "the job is there already");
  if (!m.plan)
    return refuse(refusal::invalid, "a job needs a plan");
  step s;
  event submitted = jobs::submitted{m.job,        m.account,     m.workflow, m.definition,      m.version, m.weight,
                                    m.generation, m.feed_before, m.inputs,   std::move(m.plan), m.at};
  core_.apply(submitted);
  s.events.push_back(std::move(submitted));
  jobs::advanced begun;
  begun.what = workflow::started{};
  begun.at = m.at;
  s.effects = core_.apply(event{begun});
  s.events.emplace_back(std::move(begun));
  if (m.allowance > 0)
    s.movements.push_back({"allowance", m.allowance, {}, {}, m.period, "monthly allowance"});
  auto price = core_.price();
  if (price > 0)
    s.movements.push_back({"hold", price, m.job, {}, {}, m.workflow, {}, m.key, m.key_limit});
  s.rows = std::move(m.rows);
  s.rows.push_back({table::account_jobs, storage::key_of(m.account, m.generation), pack(m.job), false});
  std::vector<scheduling::stage_request> waiting;
  for (auto stage : core_.run().ready(m.at))
    waiting.push_back(request_for(stage));
  s.rows.push_back({table::open_jobs, m.job, jobs::pack_open_job(m.account, waiting), false});
  note(s, "state", {"status", "queued", "credits_held", price / micro_per_credit});
  auto promise = make_response_promise<submitted_job>();
  commit_step(
      std::move(s), m.at,
      [this, promise, price](const booked& b) mutable {
        queue_ready();
        promise.deliver(submitted_job{id(), price, b.balance});
      },
      [promise](caf::error why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

caf::result<description> job_actor::describe(describe_job&) {
  if (!core_.exists() || core_.is_forgotten())
    return refuse(refusal::not_found, "no such job");
  auto out = core_.view();
  out["account"] = core_.origin().account;
  if (commits_ == 0 && !kept_)
    return description{std::move(out)};
  auto promise = make_response_promise<description>(); // memory is ahead of the disk: answer when it is not
  commit_step(
      {}, now_ms(), [promise, out](const booked&) mutable { promise.deliver(description{out}); },
      [promise](caf::error why) mutable { promise.deliver(std::move(why)); });
  return promise;
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
      s->rows.push_back({table::open_jobs, id(), jobs::pack_open_job(core_.origin().account), false});
    log::warn("job {}: an artifact of stage {} is lost; it is made again", id(), core_.run().plan().stages[i].name);
    return commit_and_answer(std::move(*s), m.at);
  }
  return refuse(refusal::not_found, "no stage of the job made that artifact");
}

} // namespace troupe
