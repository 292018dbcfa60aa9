#pragma once

// POST /api/v1/quotes: what a request would cost, and whether account and key could pay it.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <optional>

namespace troupe::http::unified {

struct quote_settings {
  std::optional<std::int64_t> width, height, frames, steps, num_images;
};
struct quote_body {
  std::string model, type;
  std::optional<std::int64_t> input_tokens, output_tokens;
  quote_settings settings;                                              // where generations have them
  std::optional<std::int64_t> width, height, frames, steps, num_images; // or beside the model
};
template <class V>
void describe(V& v, quote_settings& x) {
  v.optional("width", x.width, "pixels", {.min = 64, .max = 16'384});
  v.optional("height", x.height, "pixels", {.min = 64, .max = 16'384});
  v.optional("frames", x.frames, "of a video", {.min = 1, .max = 999});
  v.optional("steps", x.steps, "inference steps", {.min = 1, .max = 200});
  v.optional("num_images", x.num_images, "how many images", {.min = 1, .max = 100});
}
template <class V>
void describe(V& v, quote_body& x) {
  v.required("model", x.model, "model id, see GET /api/v1/models", {.length_min = 1, .length_max = 100});
  v.required("type", x.type, "what kind of model it is", {.one_of = {"language", "image", "video"}});
  v.optional("inputTokens", x.input_tokens, "language: tokens of the prompt", {.min = 0, .max = 10'000'000});
  v.optional("outputTokens", x.output_tokens, "language: tokens of the answer at most", {.min = 0, .max = 10'000'000});
  v.optional("settings", x.settings, "image, video: as for the generation");
  v.optional("width", x.width, "pixels", {.min = 64, .max = 16'384});
  v.optional("height", x.height, "pixels", {.min = 64, .max = 16'384});
  v.optional("frames", x.frames, "of a video", {.min = 1, .max = 999});
  v.optional("steps", x.steps, "inference steps", {.min = 1, .max = 200});
  v.optional("num_images", x.num_images, "how many images", {.min = 1, .max = 100});
}

std::vector<endpoint> quote_endpoints(const head& h);

asio::awaitable<reply> quote(const head& h, const request& r, quote_body body);

} // namespace troupe::http::unified
