#pragma once

// Text to video, as the studio API has it: submit, poll, download, list, cancel.

#include "http/bridge/blob_guard.hpp"
#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <optional>

namespace troupe::http::studio {

/// What was left out is the model's default.
struct generate_body {
  std::string prompt, model = "wan-t2v", negative_prompt;
  std::optional<std::int64_t> width, height, frames, steps, seed, frame_rate, project_id;
  std::optional<double> cfg, shift;
  std::optional<std::string> sampler, scheduler;
};
struct status_query {
  std::string job_id;
};
struct cancel_body {
  std::string job_id;
};
struct page_query {
  std::int64_t limit = 50, offset = 0;
};

template <class V>
void describe(V& v, generate_body& x) {
  v.required("prompt", x.prompt, "text description", {.length_min = 1, .length_max = 2000, .form = form::not_blank});
  v.optional("model", x.model, "model id, see GET /api/models", {.length_min = 1, .length_max = 100});
  v.optional("negative_prompt", x.negative_prompt, "what to avoid", {.length_max = 2000});
  v.optional("width", x.width, "pixels, even", {.min = 64, .max = 4096});
  v.optional("height", x.height, "pixels, even", {.min = 64, .max = 4096});
  v.optional("frames", x.frames, "number of frames; the tier has a limit", {.min = 1, .max = 999});
  v.optional("steps", x.steps, "inference steps", {.min = 1, .max = 200});
  v.optional("cfg", x.cfg, "classifier-free guidance scale", {.min = 0, .max = 30});
  v.optional("seed", x.seed, "-1: random", {.min = -1, .max = 2147483647});
  v.optional("sampler", x.sampler, "sampler name", {.length_max = 100});
  v.optional("scheduler", x.scheduler, "scheduler name", {.length_max = 100});
  v.optional("shift", x.shift, "flow shift", {.min = 0, .max = 100});
  v.optional("frame_rate", x.frame_rate, "frames a second", {.min = 1, .max = 60});
  v.optional("project_id", x.project_id, "project to link it to", {.min = 1});
}
template <class V>
void describe(V& v, status_query& x) {
  v.required("job_id", x.job_id, "from POST /api/generate", {.length_min = 1, .length_max = 64});
}
template <class V>
void describe(V& v, cancel_body& x) {
  v.required("job_id", x.job_id, "from POST /api/generate", {.length_min = 1, .length_max = 64});
}
template <class V>
void describe(V& v, page_query& x) {
  v.optional("limit", x.limit, "how many", {.min = 1, .max = 200});
  v.optional("offset", x.offset, "how many to leave out", {.min = 0, .max = 1'000'000});
}

/// All of the below, declared. `h` and `guard` must outlive them.
std::vector<endpoint> video_endpoints(const head& h, blob_guard& guard);

asio::awaitable<reply> generate(const head& h, const request& r, generate_body body);
asio::awaitable<reply> status(const head& h, const request& r, status_query query);
asio::awaitable<reply> cancel(const head& h, const request& r, cancel_body body);
/// Why stages of each of the jobs wait, as explain_job answers it; null of a job that does not. After one that is
/// `unavailable` no other is asked.
asio::awaitable<std::vector<json>> waits_of(gateway& actors, std::vector<std::string> jobs);
asio::awaitable<reply> queue(const head& h, const request& r);
asio::awaitable<reply> models(const head& h);
asio::awaitable<reply> generations(const head& h, const request& r, page_query query);
asio::awaitable<reply> delete_generation(const head& h, blob_guard& guard, const request& r);
asio::awaitable<reply> video(const head& h, blob_guard& guard, const request& r);

} // namespace troupe::http::studio
