#include "http/workflows/jobs.hpp"

#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"
#include "http/resume.hpp"
#include "http/workflows/log_entry.hpp"

#include <algorithm>

namespace troupe::http::workflows {

namespace {

constexpr std::size_t events_at_once = 64;
constexpr auto look_again = std::chrono::seconds(30); // should a bell ever be missed

/// The account's log from a cursor on, as it grows; only one job's entries when `job` is not empty, and then it ends
/// with the job's `done`. It ends at once when the key or session of who asked does. `waits`: tells also why stages of
/// the job wait.
asio::awaitable<void> stream(const head& h, identity who, std::string job, std::uint64_t cursor,
                             std::optional<wait_watch> waits, event_sink& sink) {
  const auto account = who.account;
  feed_hub::subscription wakes(h.feeds, account_id{account}, sink.bell());
  bool done = false;          // the job's last entry so far says so; it may be made again
  std::int64_t may_until = 0; // as steady_ms(); looked up again when rights change, and every look_again at least
  while (sink.open()) {
    if (wakes.rights_changed() || steady_ms() >= may_until) {
      auto left = std::min<std::int64_t>(standing(h, who), std::chrono::milliseconds(look_again).count());
      if (left == 0)
        co_return;
      may_until = steady_ms() + left;
    }
    auto entries = h.database.feed(account_id{account}, cursor, events_at_once);
    std::vector<event> out;
    for (const auto& [id, bytes] : entries) {
      cursor = id;
      auto entry = read_log_entry(bytes);
      if (!entry || (!job.empty() && entry->job != job))
        continue;
      done = !job.empty() && entry->event == "done";
      if (waits)
        waits->heard(*entry);
      out.emplace_back(std::to_string(id), std::move(entry->event), std::move(entry->data));
    }
    if (!out.empty()) { // no co_await beside && or ||: g++ 12 mistranslates it
      bool sent = co_await sink.send(std::move(out));
      if (!sent)
        co_return;
    }
    if (done && entries.size() < events_at_once)
      co_return;                           // told all there is; a job that is made again goes on in a new stream
    if (entries.size() < events_at_once) { // a ring since it was read is remembered
      if (waits) {
        auto news = co_await waits->look();
        bool sent = co_await sink.send(std::move(news));
        if (!sent)
          co_return;
      }
      auto left = std::max<std::int64_t>(may_until - steady_ms(), 1);
      bool stays = co_await sink.wait(std::chrono::milliseconds(waits ? waits->time_left(left) : left));
      if (!stays)
        co_return;
    }
  }
}

problem too_many_watch() {
  auto most = std::to_string(watch_places::of_account_max);
  return {429,
          "rate_limited",
          "The account has " + most +
              " streams open that tell why stages wait, as many as it may; close one, or ask "
              "without 'waiting'",
          {{"retry_after", 2}},
          {}};
}

} // namespace

asio::awaitable<reply> list(const head& h) {
  json rows = json::array();
  for (const auto& definition : h.workflows.all())
    rows.push_back({{"name", definition->name},
                    {"version", definition->version},
                    {"title", definition->title},
                    {"description", definition->description}});
  json answer = {{"workflows", std::move(rows)}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> describe(const head& h, const request& r) {
  auto definition = h.workflows.find(r.param("name"));
  if (!definition)
    co_return not_found();
  co_return reply::of(workflow::describe(*definition));
}

asio::awaitable<reply> run(const head& h, const request& r, run_body body) {
  auto outcome = co_await submit(h, r, r.param("name"), std::move(body.inputs));
  if (auto why = std::get_if<problem>(&outcome))
    co_return *why;
  auto& made = std::get<accepted_job>(outcome);
  json answer = {{"job_id", made.receipt.job},
                 {"workflow", made.workflow},
                 {"workflow_version", made.version},
                 {"credits_held", whole_credits(made.receipt.held)},
                 {"credit_balance", whole_credits(made.receipt.balance)},
                 {"stages", std::move(made.stages)},
                 {"status_url", "/api/jobs/" + made.receipt.job},
                 {"events_url", "/api/jobs/" + made.receipt.job + "/events"}};
  co_return reply::of(std::move(answer), 202);
}

asio::awaitable<reply> reload(const head& h, const request& r) {
  auto problems = h.workflows.load(h.workflow_folder);
  if (problems.empty()) {
    note_security note;
    note.account = r.who->account;
    note.kind = "workflows_reloaded";
    note.at = now_ms();
    note.who = asker_of(r);
    auto noted = co_await h.actors.ask(std::move(note));
    if (!noted)
      co_return problem_of(noted.error());
    json answer = {{"success", true}, {"workflows", h.workflows.all().size()}};
    co_return reply::of(std::move(answer));
  }
  json lines = json::array();
  for (const auto& p : problems)
    lines.push_back(p.text());
  problem out = invalid("The definitions have mistakes; the ones from before stay in force");
  out.context["problems"] = std::move(lines);
  co_return out;
}

asio::awaitable<reply> job(const head& h, const request& r) {
  if (!read_job(h.database, r.who->account, r.param("id")))
    co_return not_found();
  describe_job ask;
  ask.job = r.param("id");
  auto answer = co_await h.actors.ask(std::move(ask));
  if (!answer)
    co_return problem_of(answer.error());
  auto view = std::move(answer->value);
  view.erase("account");
  auto may_wait = [](const json& stage) { return stage["status"] == "ready" || stage["status"] == "backing_off"; };
  if (std::any_of(view["stages"].begin(), view["stages"].end(), may_wait)) {
    explain_job why;
    why.job = r.param("id");
    why.stages_max = workflow::plan::instances_max;
    auto waits = co_await h.actors.ask(std::move(why));
    if (waits)
      for (auto& row : waits->value["stages"])
        if (auto& stage = view["stages"][row["index"].get<std::size_t>()]; may_wait(stage))
          stage["waiting"] = {{"code", row["code"]},
                              {"reason", row["reason"]},
                              {"position", row["position"]},
                              {"eta_ms", row["eta_ms"]}};
  }
  co_return reply::of(std::move(view));
}

asio::awaitable<reply> cancel(const head& h, const request& r) {
  if (!read_job(h.database, r.who->account, r.param("id")))
    co_return not_found();
  cancel_job command;
  command.job = r.param("id");
  command.at = now_ms();
  auto done = co_await h.actors.ask(std::move(command));
  if (!done)
    co_return problem_of(done.error());
  co_return reply::of(std::move(done->value));
}

asio::awaitable<reply> repair(const head& h, blob_guard& guard, const request& r) {
  auto row = read_job(h.database, r.who->account, r.param("id"));
  if (!row)
    co_return not_found();
  json made_again = json::array();
  for (const auto& file : row->value("files", json::array())) {
    auto name = file.value("filename", std::string{});
    auto entry = read_row(h.database, storage::table::files, storage::key_of(r.who->account, name));
    if (!entry)
      continue;
    auto sha256 = entry->value("sha256", std::string{});
    auto good = co_await guard.check_again(sha256);
    if (good)
      continue;
    remake_artifact command;
    command.job = r.param("id");
    command.sha256 = sha256;
    command.at = now_ms();
    auto begun = co_await h.actors.ask(std::move(command));
    if (begun)
      made_again.push_back(name);
    else if (read_refusal(begun.error()).why != refusal::conflict)
      co_return problem_of(begun.error());
  }
  json answer = {{"job_id", r.param("id")}, {"files_made_again", std::move(made_again)}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> job_events(const head& h, const watch_places& places, const request& r, events_query query) {
  auto id = r.param("id");
  auto row = read_job(h.database, r.who->account, id);
  if (!row)
    co_return not_found();
  std::optional<wait_watch> waits;
  if (query.waiting) {
    auto place = places.take(r.who->account);
    if (!place)
      co_return too_many_watch();
    waits.emplace(h.actors, id, std::move(place));
  }
  auto who = *r.who;
  // What the account's log had before the job began is not of it: nobody's old cursor makes the head read all of that.
  auto cursor = std::max(resume_after(r).value_or(0), row->value("feed_before", std::uint64_t{0}));
  co_return reply::events(
      [&h, who, id, cursor, waits](event_sink& sink) { return stream(h, who, id, cursor, waits, sink); });
}

asio::awaitable<reply> account_events(const head& h, const request& r) {
  auto who = *r.who;
  auto from = resume_after(r);
  // Without a cursor it begins with what comes next: the past is in the jobs.
  auto cursor = from ? *from : h.database.feed_last(account_id{who.account});
  co_return reply::events(
      [&h, who, cursor](event_sink& sink) { return stream(h, who, {}, cursor, std::nullopt, sink); });
}

std::vector<endpoint> endpoints(const head& h, blob_guard& guard) {
  std::vector<endpoint> out;
  out.push_back(declare({.path = "/api/workflows",
                         .operation = "workflow_list",
                         .summary = "The workflows that can be run",
                         .tags = {"Workflows"},
                         .needs = access::anyone},
                        [&h](const request&, nothing, nothing) { return list(h); }));
  out.push_back(declare({.path = "/api/workflows/{name}",
                         .operation = "workflow_describe",
                         .summary = "A workflow: its inputs as JSON Schema, stages and results",
                         .tags = {"Workflows"},
                         .needs = access::anyone},
                        [&h](const request& r, nothing, nothing) { return describe(h, r); }));
  out.push_back(
      declare<run_body>({.method = verb::post,
                         .path = "/api/workflows/{name}/runs",
                         .operation = "workflow_run",
                         .summary = "Run a workflow; its whole price is held before it starts",
                         .tags = {"Workflows"},
                         .rate = rate_class::spend,
                         .success = 202},
                        [&h](const request& r, run_body body, nothing) { return run(h, r, std::move(body)); }));
  out.push_back(declare({.method = verb::post,
                         .path = "/api/admin/workflows/reload",
                         .operation = "workflow_reload",
                         .summary = "Read the definitions again: all of them or, on any mistake, none",
                         .tags = {"Admin"},
                         .needs = access::admin},
                        [&h](const request& r, nothing, nothing) { return reload(h, r); }));
  out.push_back(declare({.path = "/api/jobs/{id}",
                         .operation = "job_describe",
                         .summary = "A job: stages with device, attempts, timings and charge; artifacts; why it waits",
                         .tags = {"Jobs"}},
                        [&h](const request& r, nothing, nothing) { return job(h, r); }));
  out.push_back(declare({.method = verb::post,
                         .path = "/api/jobs/{id}/cancel",
                         .operation = "job_cancel",
                         .summary = "Stop a job and release what it holds",
                         .tags = {"Jobs"}},
                        [&h](const request& r, nothing, nothing) { return cancel(h, r); }));
  out.push_back(declare({.method = verb::post,
                         .path = "/api/jobs/{id}/repair",
                         .operation = "job_repair",
                         .summary = "Check the job's files; make damaged ones again at no charge",
                         .tags = {"Jobs"}},
                        [&h, &guard](const request& r, nothing, nothing) { return repair(h, guard, r); }));
  out.push_back(declare<nothing, events_query>(
      {.path = "/api/jobs/{id}/events",
       .operation = "job_events",
       .summary = "The job's events (SSE); Last-Event-ID resumes without a gap or a repeat",
       .description =
           std::string{} +
           "state, stage, progress, preview, charge, artifact, done; each has an id. With ?waiting=true also "
           "waiting, without an id: for the first 64 of the stages that wait the stage, index, code, reason, "
           "position and eta_ms, when they have changed, looked at every two seconds; an account has at most " +
           std::to_string(watch_places::of_account_max) + " such streams open, one more is 429.",
       .tags = {"Jobs"},
       .produces = "text/event-stream"},
      [&h, places = watch_places{}](const request& r, nothing, events_query query) {
        return job_events(h, places, r, query);
      }));
  out.push_back(declare({.path = "/api/events",
                         .operation = "account_events",
                         .summary = "The events of all jobs of the account (SSE)",
                         .tags = {"Jobs"},
                         .produces = "text/event-stream"},
                        [&h](const request& r, nothing, nothing) { return account_events(h, r); }));
  return out;
}

} // namespace troupe::http::workflows
