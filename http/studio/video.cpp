#include "http/studio/video.hpp"

#include "common/catalog/models.hpp"
#include "http/bridge/job_removal.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

#include <algorithm>
#include <limits>

namespace troupe::http::studio {

namespace {

// What GET /api/queue looks at and shows at most; its answer says so.
constexpr std::size_t queue_newest_jobs = 200, queue_active_jobs = 50;
constexpr std::uint32_t queue_waiting_stages = 64; // of each job, the first by index

template <class T>
void put(json& into, const char* name, const std::optional<T>& value) {
  if (value)
    into[name] = *value;
}

/// Why a model cannot be served now; nothing when it can.
std::optional<std::string> unavailable_reason(const head& h, const catalog::video_model& model) {
  if (model.stand_in.empty())
    return std::string{model.no_stand_in};
  if (!h.stand_ins_allowed)
    return "stand-ins are forbidden by the operator, and no real backend serves it";
  auto can = h.offered.of(std::string{model.stand_in});
  return can.available ? std::nullopt : std::optional(can.reason);
}

problem unavailable_model(std::string_view model, const std::string& reason) {
  problem out = unavailable("Model '" + std::string{model} + "' cannot be served now: " + reason);
  out.code = "model_not_available";
  out.context = {{"reason", reason}, {"model", model}};
  return out;
}

bool is_active(const json& job) {
  auto status = job.value("status", std::string{});
  return status == "queued" || status == "running";
}

/// Visits the account's jobs, newest first, until `visit` says stop.
void newest_jobs(const head& h, const std::string& account,
                 const std::function<bool(std::uint64_t number, const std::string& job)>& visit) {
  h.database.scan(storage::table::account_jobs, storage::key_of(account, ""), "", true,
                  [&](std::string_view key, std::string_view value) {
                    auto job = unpack(value);
                    return !job || !job->is_string() || visit(storage::number_at_end(key), job->get<std::string>());
                  });
}

constexpr auto no_position = std::numeric_limits<std::uint64_t>::max();

std::uint64_t position_of(const json& waiting) {
  return waiting["position"].is_null() ? no_position : waiting["position"].get<std::uint64_t>();
}

/// Of a job's stages that wait the one that is next in line; of those in no line the first. Null: none waits.
const json* foremost(const json& waiting) {
  auto earlier = [](const json& a, const json& b) { return position_of(a) < position_of(b); };
  auto found = std::min_element(waiting.begin(), waiting.end(), earlier);
  return found == waiting.end() ? nullptr : &*found;
}

json generation_row(std::uint64_t number, const std::string& id, const json& job) {
  auto inputs = job.value("inputs", json::object());
  auto status = job.value("status", std::string{});
  auto get = [&](const char* name) { return inputs.contains(name) ? inputs[name] : json(); };
  auto file = main_file(job);
  json out = {{"id", number},
              {"job_id", id},
              {"model", inputs.value("model", std::string{})},
              {"workflow", job.value("workflow", std::string{})},
              {"prompt", inputs.value("prompt", std::string{})},
              {"negative_prompt", inputs.value("negative_prompt", std::string{})},
              {"filename", file.empty() ? json() : json(file)},
              {"width", get("width")},
              {"height", get("height")},
              {"frames", get("frames")},
              {"steps", get("steps")},
              {"cfg", get("cfg")},
              {"seed", get("seed")},
              {"sampler", get("sampler")},
              {"scheduler", get("scheduler")},
              {"frame_rate", get("frame_rate")},
              {"shift", get("shift")},
              {"is_favorite", 0},
              {"is_public", 0},
              {"share_token", nullptr},
              {"status", studio_status(status)},
              {"credits_used", whole_credits(job.value("charged", micro_credits{0}))},
              {"created_at", studio_time(job.value("created_at", timestamp{0}))}};
  if (job.contains("error"))
    out["error"] = job["error"];
  if (job.contains("engine"))
    out["engine"] = job["engine"];
  if (job.value("preview", false))
    out["preview"] = true;
  return out;
}

} // namespace

asio::awaitable<reply> generate(const head& h, const request& r, generate_body body) {
  auto model = catalog::find_video_model(body.model);
  if (model == nullptr)
    co_return invalid("model '" + body.model.substr(0, 100) + "' is not known; GET /api/models lists the models",
                      "model");
  if (auto reason = unavailable_reason(h, *model))
    co_return unavailable_model(model->id, *reason);
  json inputs = {
      {"prompt", std::move(body.prompt)}, {"model", body.model}, {"negative_prompt", std::move(body.negative_prompt)}};
  put(inputs, "width", body.width);
  put(inputs, "height", body.height);
  put(inputs, "frames", body.frames);
  put(inputs, "steps", body.steps);
  put(inputs, "seed", body.seed);
  put(inputs, "frame_rate", body.frame_rate);
  put(inputs, "cfg", body.cfg);
  put(inputs, "shift", body.shift);
  put(inputs, "sampler", body.sampler);
  put(inputs, "scheduler", body.scheduler);
  auto outcome = co_await submit(h, r, "text-to-video", std::move(inputs));
  if (auto why = std::get_if<problem>(&outcome))
    co_return *why;
  const auto& receipt = std::get<accepted_job>(outcome).receipt;
  json answer = {{"job_id", receipt.job},
                 {"prompt_id", receipt.job},
                 {"credits_used", whole_credits(receipt.held)},
                 {"credit_balance", whole_credits(receipt.balance)}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> status(const head& h, const request& r, status_query query) {
  auto job = read_job(h.database, r.who->account, query.job_id);
  if (!job)
    co_return not_found();
  auto state = studio_status(job->value("status", std::string{}));
  json answer = {{"status", state}};
  if (state == "completed") {
    answer["filename"] = main_file(*job);
    if (job->contains("engine"))
      answer["engine"] = (*job)["engine"];
    if (job->value("preview", false))
      answer["preview"] = true;
  } else if (state == "error") {
    answer["error"] = job->value("error", std::string{"Generation failed"});
  }
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> cancel(const head& h, const request& r, cancel_body body) {
  if (!read_job(h.database, r.who->account, body.job_id))
    co_return not_found();
  cancel_job command;
  command.job = std::move(body.job_id);
  command.at = now_ms();
  auto done = co_await h.actors.ask(std::move(command));
  if (!done)
    co_return problem_of(done.error());
  auto now = done->value.value("status", std::string{});
  json answer = {
      {"success", true}, {"job_id", done->value.value("job_id", std::string{})}, {"status", studio_status(now)}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<std::vector<json>> waits_of(gateway& actors, std::vector<std::string> jobs) {
  std::vector<json> out(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    explain_job ask;
    ask.job = jobs[i];
    ask.stages_max = queue_waiting_stages;
    auto answer = co_await actors.ask(std::move(ask));
    if (answer)
      out[i] = std::move(answer->value);
    else if (read_refusal(answer.error()).why == refusal::unavailable)
      break; // nobody is to wait for each of fifty that a slow disk keeps
  }
  co_return out;
}

asio::awaitable<reply> queue(const head& h, const request& r) {
  read_queue read;
  read.account = r.who->account;
  auto state = co_await h.actors.ask_scheduler(std::move(read));
  if (!state)
    co_return problem_of(state.error());
  std::vector<std::string> active;
  std::vector<json> jobs;
  std::size_t looked_at = 0;
  bool more = false;
  newest_jobs(h, r.who->account, [&](std::uint64_t, const std::string& id) {
    more = looked_at == queue_newest_jobs || active.size() == queue_active_jobs;
    if (more)
      return false;
    ++looked_at;
    auto job = read_job(h.database, r.who->account, id);
    if (job && is_active(*job)) {
      active.push_back(id);
      jobs.push_back(std::move(*job));
    }
    return true;
  });
  json rows = json::array();
  std::uint64_t first = no_position;
  auto waits = co_await waits_of(h.actors, active);
  for (std::size_t i = 0; i < active.size(); ++i) {
    auto state_now = jobs[i].value("status", std::string{});
    json row = {{"job_id", active[i]},
                {"status", studio_status(state_now)},
                {"state", state_now},
                {"workflow", jobs[i].value("workflow", std::string{})}};
    row["waiting_count"] = waits[i]["count"]; // null where it did not answer
    row["waiting"] = std::move(waits[i]["stages"]);
    if (auto next = foremost(row["waiting"])) {
      for (const char* name : {"position", "code", "reason", "eta_ms"})
        row[name] = next->at(name);
      first = std::min(first, position_of(*next));
    }
    rows.push_back(std::move(row));
  }
  json answer = {{"queue_length", state->value["length"]},
                 {"running", state->value["running"]},
                 {"account_waiting", state->value["account_waiting"]},
                 {"account_running", state->value["account_running"]},
                 {"active_jobs", std::move(rows)},
                 {"more_jobs", more},
                 {"limits",
                  {{"newest_jobs", queue_newest_jobs},
                   {"active_jobs", queue_active_jobs},
                   {"waiting_stages", queue_waiting_stages}}},
                 {"position", first == no_position ? 0 : first}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> models(const head& h) {
  json rows = json::array();
  for (const auto& m : catalog::video_models()) {
    auto reason = unavailable_reason(h, m);
    const auto& d = m.defaults;
    const auto& price = catalog::price_of(m);
    json row = {{"id", m.id},
                {"name", m.name},
                {"description", m.description},
                {"category", catalog::name_of(m.category)},
                {"defaults",
                 {{"width", d.width},
                  {"height", d.height},
                  {"frames", d.frames},
                  {"steps", d.steps},
                  {"cfg", d.cfg},
                  {"sampler", d.sampler},
                  {"scheduler", d.scheduler},
                  {"shift", d.shift},
                  {"frame_rate", d.frame_rate}}},
                {"requires", m.needs},
                {"pricing",
                 {{"base", static_cast<double>(price.base) / micro_per_credit},
                  {"per_frame", static_cast<double>(price.per_frame) / micro_per_credit},
                  {"per_step", static_cast<double>(price.per_step) / micro_per_credit}}},
                {"credit_cost", whole_credits(catalog::video_price(price, d.frames, d.steps))},
                {"available", !reason}};
    if (reason) {
      row["unavailable_reason"] = *reason;
    } else {
      auto can = h.offered.of(std::string{m.stand_in});
      row["engine"] = can.engine;
      if (can.preview)
        row["preview"] = true;
    }
    rows.push_back(std::move(row));
  }
  json answer = {{"models", std::move(rows)}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> generations(const head& h, const request& r, page_query query) {
  json rows = json::array();
  std::int64_t total = 0;
  newest_jobs(h, r.who->account, [&](std::uint64_t number, const std::string& id) {
    auto index = total++;
    if (index >= query.offset && index < query.offset + query.limit)
      if (auto job = read_job(h.database, r.who->account, id))
        rows.push_back(generation_row(number, id, *job));
    return true;
  });
  json answer = {{"generations", std::move(rows)}, {"total", total}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> delete_generation(const head& h, blob_guard& guard, const request& r) {
  const auto& text = r.param("id");
  if (text.empty() || text.size() > 15 || text.find_first_not_of("0123456789") != std::string::npos)
    co_return not_found();
  auto row = read_row(h.database, storage::table::account_jobs, storage::key_of(r.who->account, std::stoull(text)));
  if (!row || !row->is_string())
    co_return not_found();
  auto why = co_await remove_job(h, guard, r.who->account, row->get<std::string>());
  if (why)
    co_return *why;
  json answer = {{"success", true}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> video(const head& h, blob_guard& guard, const request& r) {
  // A name is looked up among the owner's files and never becomes a path.
  const auto& name = r.param("filename");
  if (name.empty() || name.size() > 200)
    co_return not_found();
  auto file = read_row(h.database, storage::table::files, storage::key_of(r.who->account, name));
  if (!file)
    co_return not_found();
  auto sha256 = file->value("sha256", std::string{});
  auto good = co_await guard.check(sha256);
  if (!good) {
    problem out = unavailable("The file is damaged or gone; POST /api/jobs/" + file->value("job", std::string{}) +
                              "/repair makes it again at no charge");
    out.context["job_id"] = file->value("job", std::string{});
    co_return out;
  }
  file_body body;
  body.path = h.blobs.path(sha256);
  body.content_type = file->value("content_type", std::string{"application/octet-stream"});
  body.etag = sha256;
  co_return reply::file(std::move(body));
}

std::vector<endpoint> video_endpoints(const head& h, blob_guard& guard) {
  std::vector<endpoint> out;
  out.push_back(declare<generate_body>(
      {.method = verb::post,
       .path = "/api/generate",
       .operation = "generate",
       .summary = "Queue a text-to-video generation",
       .tags = {"Video"},
       .rate = rate_class::spend},
      [&h](const request& r, generate_body body, nothing) { return generate(h, r, std::move(body)); }));
  out.push_back(declare<nothing, status_query>(
      {.path = "/api/status", .operation = "status", .summary = "Poll a generation", .tags = {"Video"}},
      [&h](const request& r, nothing, status_query query) { return status(h, r, std::move(query)); }));
  out.push_back(declare<cancel_body>(
      {.method = verb::post,
       .path = "/api/cancel",
       .operation = "cancel",
       .summary = "Cancel a running generation",
       .tags = {"Video"}},
      [&h](const request& r, cancel_body body, nothing) { return cancel(h, r, std::move(body)); }));
  out.push_back(
      declare({.path = "/api/queue",
               .operation = "queue",
               .summary = "Queue length, your active jobs, and their position",
               .description = "Of each active job the stages that wait, by index, with code, reason, position "
                              "and eta_ms; its own position, code, reason and eta_ms are those of the one that "
                              "is next. limits: how many of the newest jobs are looked at, how many active ones "
                              "shown, and how many waiting stages of each; more_jobs: there are older jobs that "
                              "were not looked at; waiting_count: how many stages of the job wait in all. waiting is "
                              "null where the job did not answer.",
               .tags = {"Video"}},
              [&h](const request& r, nothing, nothing) { return queue(h, r); }));
  out.push_back(declare({.path = "/api/models",
                         .operation = "models",
                         .summary = "Video models with defaults, prices, and whether they can be served now",
                         .tags = {"Video"},
                         .needs = access::anyone},
                        [&h](const request&, nothing, nothing) { return models(h); }));
  out.push_back(declare<nothing, page_query>(
      {.path = "/api/generations",
       .operation = "generation_list",
       .summary = "Your generations, newest first",
       .tags = {"Video"}},
      [&h](const request& r, nothing, page_query query) { return generations(h, r, query); }));
  out.push_back(declare({.method = verb::del,
                         .path = "/api/generations/{id}",
                         .operation = "generation_delete",
                         .summary = "Delete a generation and its files",
                         .tags = {"Video"}},
                        [&h, &guard](const request& r, nothing, nothing) { return delete_generation(h, guard, r); }));
  out.push_back(declare({.path = "/api/video/{filename}",
                         .operation = "video_download",
                         .summary = "A file of yours: Range, ETag and If-None-Match are served",
                         .tags = {"Video"},
                         .produces = "video/mp4"},
                        [&h, &guard](const request& r, nothing, nothing) { return video(h, guard, r); }));
  return out;
}

} // namespace troupe::http::studio
