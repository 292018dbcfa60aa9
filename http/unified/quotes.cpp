#include "http/unified/quotes.hpp"

#include "common/catalog/metered.hpp"
#include "common/catalog/models.hpp"
#include "http/bridge/submission.hpp"
#include "http/studio/credits.hpp"

namespace troupe::http::unified {

namespace {

struct estimate {
  micro_credits exact = 0;
  bool metered = false; // whole credits otherwise: nothing is carried
};

problem unknown_model(const quote_body& body) {
  problem out = not_found("No " + body.type + " model is called '" + body.model + "'");
  out.code = "model_not_found";
  out.context = {{"model", body.model}};
  return out;
}

problem input_required(std::string message, std::string field) {
  auto out = invalid(std::move(message), std::move(field));
  out.code = "model_input_required";
  return out;
}

std::variant<estimate, problem> language_estimate(const quote_body& body) {
  auto found = catalog::prices().tokens.find(body.model);
  if (found == catalog::prices().tokens.end())
    return unknown_model(body);
  if (!body.input_tokens && !body.output_tokens)
    return input_required("A language quote needs inputTokens and outputTokens", "inputTokens");
  return estimate{catalog::token_price(found->second, body.input_tokens.value_or(0), body.output_tokens.value_or(0)),
                  true};
}

std::variant<estimate, problem> image_estimate(const quote_body& body) {
  auto count = body.num_images.value_or(body.settings.num_images.value_or(1));
  if (const auto* model = catalog::find_image_model(body.model))
    return estimate{catalog::price_of(*model) * count, false};
  auto sized = catalog::prices().image_megapixel.find(body.model);
  if (sized == catalog::prices().image_megapixel.end())
    return unknown_model(body);
  auto width = body.width.value_or(body.settings.width.value_or(1024));
  auto height = body.height.value_or(body.settings.height.value_or(1024));
  return estimate{catalog::sized_image_price(sized->second, width, height, count), true};
}

std::variant<estimate, problem> video_estimate(const head& h, const identity& who, const quote_body& body) {
  const auto* model = catalog::find_video_model(body.model);
  if (model == nullptr)
    return unknown_model(body);
  const auto& d = model->defaults;
  catalog::demand demand;
  demand.width = body.width.value_or(body.settings.width.value_or(d.width));
  demand.height = body.height.value_or(body.settings.height.value_or(d.height));
  demand.frames = body.frames.value_or(body.settings.frames.value_or(d.frames));
  auto has = catalog::tier_of(who.tier).value_or(catalog::tier::free);
  if (auto within = catalog::check_demand(h.tiers, has, demand); !within) {
    auto needed = catalog::lowest_tier_for(h.tiers, demand);
    if (!needed)
      return invalid(within.error().message, "settings");
    return tier_problem(within.error().message, *needed, who.tier);
  }
  auto steps = body.steps.value_or(body.settings.steps.value_or(d.steps));
  return estimate{catalog::video_price(catalog::price_of(*model), demand.frames, steps), false};
}

json usd(micro_credits amount) { return static_cast<double>(amount / micro_per_credit) / 100; }

} // namespace

asio::awaitable<reply> quote(const head& h, const request& r, quote_body body) {
  auto found = body.type == "language" ? language_estimate(body)
               : body.type == "image"  ? image_estimate(body)
                                       : video_estimate(h, *r.who, body);
  if (auto why = std::get_if<problem>(&found))
    co_return *why;
  auto estimated = std::get<estimate>(found);
  auto wallet = co_await studio::wallet_of(h, *r.who); // with the month's allowance, as the charge would find it
  if (auto why = std::get_if<problem>(&wallet))
    co_return *why;
  read_books ask;
  ask.account = r.who->account;
  ask.key = r.who->key;
  auto now = co_await h.actors.ask(std::move(ask));
  if (!now)
    co_return problem_of(now.error());
  auto charge = estimated.metered ? catalog::settle(now->owed, estimated.exact)
                                  : catalog::settlement{estimated.exact, estimated.exact, now->owed};
  auto held = catalog::hold_for(estimated.exact); // what the request must be able to hold
  auto used = now->key_spent + now->key_held;
  auto limit = r.who->spend_limit;
  auto balance_ok = now->balance >= held;
  auto key_ok = limit == 0 || used + held <= limit;
  json key = {
      {"limit_cents", limit == 0 ? json() : json(limit / micro_per_credit)},
      {"spent_cents", now->key_spent / micro_per_credit},
      {"held_cents", now->key_held / micro_per_credit},
      {"remaining_cents", limit == 0 ? json() : json(std::max<micro_credits>(0, limit - used) / micro_per_credit)},
      {"sufficient", key_ok}};
  json answer = {{"object", "quote"},
                 {"model", body.model},
                 {"type", body.type},
                 {"estimated_charge_cents", charge.charge_cents()},
                 {"estimated_charge_usd", charge.charge_usd()},
                 {"metered_estimated_charge_usd", charge.metered_charge_usd()},
                 {"estimated_charge_micro_credits", charge.exact},
                 {"hold_cents", held / micro_per_credit},
                 {"can_afford", balance_ok && key_ok},
                 {"account",
                  {{"balance_cents", now->balance / micro_per_credit},
                   {"balance_usd", usd(now->balance)},
                   {"carried_micro_credits", now->owed},
                   {"sufficient", balance_ok}}},
                 {"api_key", std::move(key)}};
  co_return reply::of(std::move(answer));
}

std::vector<endpoint> quote_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(
      declare<quote_body>({.method = verb::post,
                           .path = "/api/v1/quotes",
                           .operation = "quote",
                           .summary = "What a request would cost, and whether account and key can pay it",
                           .tags = {"Quotes"},
                           .family = family::unified},
                          [&h](const request& r, quote_body body, nothing) { return quote(h, r, std::move(body)); }));
  return out;
}

} // namespace troupe::http::unified
