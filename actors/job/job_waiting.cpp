#include "actors/job/job_actor.hpp"

// Why stages wait. The job is asked, as the scheduler knows only of those that it has: a stage that waits for its next
// attempt, or for which the queue had no room, is its job's alone.

namespace troupe {

namespace {

constexpr auto scheduler_answer_time = std::chrono::seconds(5);

std::string backing_off_words(std::uint32_t failures, std::uint32_t attempts) {
  return "it failed and is tried again later; that was failure " + std::to_string(failures) + " of the " +
         std::to_string(attempts) + " that end the job";
}

} // namespace

caf::result<description> job_actor::explain(explain_job& m) {
  if (!core_.exists() || core_.is_forgotten())
    return refuse(refusal::not_found, "no such job");
  auto at = now_ms();
  std::uint32_t count = 0;
  json rows = json::array();
  explain_waiting of_scheduler;
  of_scheduler.job = id();
  for (std::uint32_t i = 0; i < core_.run().plan().stages.size(); ++i) {
    auto state = core_.run().at(i).state;
    if (state != workflow::stage_state::ready && state != workflow::stage_state::backing_off)
      continue;
    if (++count > m.stages_max)
      continue;
    rows.push_back(why_not_in_queue(i, at));
    if (core_.run().backs_off_for(i, at) == 0)
      of_scheduler.stages.push_back(i);
  }
  json answer = {{"count", count}, {"stages", std::move(rows)}};
  if (of_scheduler.stages.empty())
    return description{std::move(answer)};
  auto promise = make_response_promise<description>();
  request(others_->scheduler, scheduler_answer_time, std::move(of_scheduler))
      .then(
          [promise, answer = std::move(answer)](description& in_queue) mutable {
            for (auto& row : answer["stages"])
              if (auto why = in_queue.value.find(row["index"].dump()); why != in_queue.value.end())
                row.update(*why);
            promise.deliver(description{std::move(answer)});
          },
          [promise](caf::error&) mutable {
            promise.deliver(refuse(refusal::unavailable, "the scheduler does not answer"));
          });
  return promise;
}

json job_actor::why_not_in_queue(std::uint32_t stage, timestamp at) const {
  const auto& planned = core_.run().plan().stages[stage];
  json out = {{"index", stage}, {"stage", planned.name}, {"position", nullptr}, {"eta_ms", nullptr}};
  if (auto left = core_.run().backs_off_for(stage, at); left > 0) {
    out["code"] = "backing_off";
    out["reason"] = backing_off_words(core_.run().at(stage).failures, planned.retry.attempts);
    out["eta_ms"] = left;
  } else if (auto why = turned_away_.find(stage); why != turned_away_.end()) {
    out["code"] = why->second.code;
    out["reason"] = why->second.reason;
  } else {
    out["code"] = "in_transit";
    out["reason"] = "it is on its way to the scheduler, or to a device";
  }
  return out;
}

} // namespace troupe
