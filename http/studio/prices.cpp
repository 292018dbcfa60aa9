#include "http/studio/prices.hpp"

#include "common/catalog/models.hpp"
#include "http/bridge/views.hpp"

namespace troupe::http::studio {

namespace {

double in_credits(micro_credits amount) { return static_cast<double>(amount) / micro_per_credit; }

json tier_rows(const head& h) {
  json rows = json::array();
  for (std::size_t rank = 0; rank < catalog::tier_count; ++rank) {
    auto which = static_cast<catalog::tier>(rank);
    const auto& limits = catalog::limits_of(h.tiers, which);
    rows.push_back({{"id", catalog::name_of(which)},
                    {"name", catalog::title_of(which)},
                    {"monthly_credits", limits.credits_per_month},
                    {"max_resolution", limits.size.name},
                    {"max_frames", limits.frames_max},
                    {"watermark", limits.watermark}});
  }
  return rows;
}

json model_rows() {
  json rows = json::array();
  for (const auto& m : catalog::video_models()) {
    const auto& price = catalog::price_of(m);
    rows.push_back({{"model", m.id},
                    {"name", m.name},
                    {"base", in_credits(price.base)},
                    {"per_frame", in_credits(price.per_frame)},
                    {"per_step", in_credits(price.per_step)}});
  }
  return rows;
}

json operation_rows() {
  const auto& list = catalog::prices();
  json flat = json::object(), timed = json::object(), images = json::object(), tokens = json::object(),
       megapixels = json::object();
  for (const auto& [name, price] : list.flat)
    flat[name] = in_credits(price);
  for (const auto& [name, price] : list.timed)
    timed[name] = {{"credits", in_credits(price.amount)},
                   {"per_seconds", price.stretch_ms / 1000},
                   {"pro_rated", !price.begun},
                   {"least", in_credits(price.least)}};
  for (const auto& [model, price] : list.image)
    images[model] = in_credits(price);
  for (const auto& [model, price] : list.tokens)
    tokens[model] = {{"input_per_million", in_credits(price.input_per_million)},
                     {"output_per_million", in_credits(price.output_per_million)}};
  for (const auto& [model, price] : list.image_megapixel)
    megapixels[model] = in_credits(price);
  json out = {{"flat", flat},
              {"timed", timed},
              {"image", images},
              {"merge", {{"per_clip", in_credits(list.merge_clip)}, {"least", in_credits(list.merge_least)}}}};
  if (!tokens.empty())
    out["tokens"] = std::move(tokens);
  if (!megapixels.empty())
    out["image_megapixel"] = std::move(megapixels);
  return out;
}

/// What an image of a model costs, or an operation with one price; nothing for what is neither.
std::optional<micro_credits> price_of_one(const std::string& name) {
  const auto& images = catalog::prices().image;
  if (auto found = images.find(name); found != images.end())
    return found->second;
  return catalog::flat_price(name);
}

} // namespace

asio::awaitable<reply> pricing(const head& h) {
  json answer = {{"tiers", tier_rows(h)},
                 {"credit_costs",
                  {{"formula", "ceil(base + frames * per_frame + steps * per_step)"},
                   {"video", model_rows()},
                   {"operations", operation_rows()}}},
                 {"topup", {{"credits_min", 100}, {"credits_max", 50'000}, {"pence_per_credit", 1}}}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> generation_cost(cost_query query) {
  auto model = catalog::find_video_model(query.model);
  if (auto price = model == nullptr ? price_of_one(query.model) : std::nullopt) {
    auto cost = whole_credits(*price);
    json answer = {{"model", query.model}, {"frames", nullptr}, {"steps", nullptr}, {"cost", cost}, {"credits", cost}};
    co_return reply::of(std::move(answer));
  }
  if (model == nullptr)
    co_return invalid("model '" + query.model.substr(0, 100) + "' is not known; GET /api/models lists the models",
                      "model");
  auto frames = query.frames.value_or(model->defaults.frames);
  auto steps = query.steps.value_or(model->defaults.steps);
  auto cost = whole_credits(catalog::video_price(catalog::price_of(*model), frames, steps));
  json answer = {{"model", model->id}, {"frames", frames}, {"steps", steps}, {"cost", cost}, {"credits", cost}};
  co_return reply::of(std::move(answer));
}

std::vector<endpoint> price_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare({.path = "/api/pricing",
                         .operation = "pricing",
                         .summary = "Tiers with what they grant and allow, and what everything costs",
                         .tags = {"Credits"},
                         .needs = access::anyone},
                        [&h](const request&, nothing, nothing) { return pricing(h); }));
  out.push_back(declare<nothing, cost_query>(
      {.path = "/api/generation-cost",
       .operation = "generation_cost",
       .summary = "Quote the credits of a generation",
       .tags = {"Video"}},
      [](const request&, nothing, cost_query query) { return generation_cost(std::move(query)); }));
  return out;
}

} // namespace troupe::http::studio
