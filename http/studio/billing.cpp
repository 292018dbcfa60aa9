#include "http/studio/billing.hpp"

#include "common/log.hpp"
#include "common/random.hpp"
#include "common/sha256.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"
#include "http/payments/stripe_signature.hpp"
#include "http/studio/credits.hpp"

namespace troupe::http::studio {

namespace {

constexpr std::size_t event_bytes_max = 1 << 20;

/// The name of this wish to buy: the same for a repeat under the same Idempotency-Key, also after a crash.
std::string name_of_wish(const request& r) {
  return r.only_once ? sha256_hex(r.only_once->row + "\n" + r.only_once->fingerprint).substr(0, 40) : make_ulid();
}

payments::buyer buyer_of(const payments::cashier& desk, const request& r) {
  auto out = desk.buyer_of(r.who->account);
  out.return_url = desk.how().public_url;
  if (out.return_url.empty())
    out.return_url = (r.secure ? "https://" : "http://") + std::string{r.header("host")};
  return out;
}

problem problem_of_purchase(const failure& why, const std::string& account) {
  if (why.code == "declined")
    return {402, "payment_declined", "The payment was declined: " + why.message, json::object(), {}};
  if (why.code == "no_customer")
    return {409, "conflict", "There is nothing to manage yet: " + why.message, json::object(), {}};
  log::error("payments: a purchase of account {} failed: {}: {}", account, why.code, why.message);
  if (why.code == "not_sold")
    return unavailable("That tier cannot be bought here at the moment");
  return unavailable("The payment provider cannot be reached now; try again shortly");
}

json time_or_null(timestamp at) { return at == 0 ? json() : json(studio_time(at)); }

json describe_subscription(const subscription_view& now) {
  return {{"status", now.status.empty() ? "none" : now.status},
          {"plan", now.plan.empty() ? json() : json(now.plan)},
          {"current_period_end", time_or_null(now.period_end)},
          {"pending_tier", now.next_tier.empty() ? json() : json(now.next_tier)},
          {"pending_at", time_or_null(now.changes_at)},
          {"cancel_at_period_end", now.next_tier == "free" && now.status == "active"},
          {"grace_until", time_or_null(now.status == "past_due" ? now.grace_until : 0)}};
}

} // namespace

asio::awaitable<reply> topup(const head& h, const payments::cashier& desk, const request& r, topup_body body) {
  if (auto why = refuse_buyer(r))
    co_return *why;
  auto who = buyer_of(desk, r);
  auto bought = co_await desk.with().buy_credits(std::move(who), body.credits, name_of_wish(r));
  if (!bought)
    co_return problem_of_purchase(bought.error(), r.who->account);
  json answer = {{"success", true},
                 {"credits", body.credits},
                 {"amount", body.credits},
                 {"currency", desk.how().currency},
                 {"provider", desk.with().name()},
                 {"session_id", bought->session}};
  if (!bought->paid) {
    answer["status"] = "payment_required";
    answer["url"] = answer["checkout_url"] = bought->url;
    co_return reply::of(std::move(answer));
  }
  payments::paid_credits paid{r.who->account, bought->paid->id, {}, bought->paid->credits};
  std::vector<movement> first{allowance_of(h, r.who->tier, now_ms())};
  std::string no_event;
  auto booked_now = co_await desk.credit(std::move(paid), std::move(no_event), std::move(first));
  if (auto* why = std::get_if<problem>(&booked_now))
    co_return std::move(*why);
  answer["status"] = "paid";
  answer["sandbox"] = true;
  answer["payment_id"] = bought->paid->id;
  answer["credits_added"] = body.credits;
  answer["credit_balance"] = whole_credits(std::get<booked>(booked_now).balance);
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> create_checkout(const payments::cashier& desk, const request& r, checkout_body body) {
  if (auto why = refuse_buyer(r))
    co_return *why;
  auto known = desk.known(r.who->account);
  auto who = buyer_of(desk, r);
  bool has = who.active && known.plan == body.tier && known.tier == body.tier && known.next_tier.empty();
  if (has && !r.only_once) // a repeat of what was bought is answered like it
    co_return problem{409, "conflict", "You have that tier already", {{"tier", body.tier}}, {}};
  auto return_url = who.return_url;
  auto bought = co_await desk.with().subscribe(std::move(who), body.tier, name_of_wish(r));
  if (!bought)
    co_return problem_of_purchase(bought.error(), r.who->account);
  json answer = {
      {"success", true}, {"tier", body.tier}, {"provider", desk.with().name()}, {"session_id", bought->session}};
  if (bought->subscription) {
    const auto& s = *bought->subscription;
    payments::subscription_is now{r.who->account, {},           s.subscription,        s.plan, "active",
                                  s.period_start, s.period_end, s.ends ? "yes" : "no", s.began};
    std::string no_type;
    auto done = co_await desk.subscription(std::move(now), now_ms(), bought->session, std::move(no_type));
    if (auto* why = std::get_if<problem>(&done))
      co_return std::move(*why);
    const auto& view = std::get<subscription_view>(done);
    answer["sandbox"] = true;
    answer["url"] = answer["checkout_url"] = return_url + "/?checkout=success";
    answer["tier"] = view.tier;
    answer["subscription"] = describe_subscription(view);
  } else if (bought->requested) {
    answer["status"] = "requested"; // Stripe tells by webhook what became of it
    answer["url"] = answer["checkout_url"] = return_url + "/?checkout=success";
  } else {
    answer["status"] = "payment_required";
    answer["url"] = answer["checkout_url"] = bought->url;
  }
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> create_portal(const payments::cashier& desk, const request& r) {
  if (auto why = refuse_buyer(r))
    co_return *why;
  auto who = buyer_of(desk, r);
  auto opened = co_await desk.with().portal(std::move(who), make_ulid());
  if (!opened)
    co_return problem_of_purchase(opened.error(), r.who->account);
  json answer = {{"success", true}, {"url", *opened}, {"portal_url", *opened}, {"provider", desk.with().name()}};
  if (std::string_view{desk.with().name()} == "sandbox") {
    answer["sandbox"] = true;
    answer["message"] = "The sandbox has no portal: POST /api/stripe/create-checkout changes the tier, and with "
                        "\"free\" ends the subscription";
  }
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> show_subscription(const head& h, const payments::cashier& desk, const request& r) {
  auto has = co_await tier_summary(h, r);
  if (auto* why = std::get_if<problem>(&has))
    co_return std::move(*why);
  auto answer = std::get<json>(std::move(has));
  answer.update(describe_subscription(desk.known(r.who->account)));
  answer["provider"] = desk.with().name();
  answer["sandbox"] = std::string_view{desk.with().name()} == "sandbox";
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> stripe_config(const payments::cashier& desk) {
  const auto& key = desk.how().publishable_key;
  json answer = {{"publishable_key", key.empty() ? json() : json(key)},
                 {"provider", desk.with().name()},
                 {"currency", desk.how().currency},
                 {"sandbox", std::string_view{desk.with().name()} == "sandbox"}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> stripe_webhook(const payments::cashier& desk, const request& r) {
  const auto& how = desk.how();
  if (how.webhook_secrets.empty())
    co_return unavailable("This studio takes no payments by Stripe");
  if (r.body.size() > event_bytes_max)
    co_return problem{413, "too_large", "An event has at most 1 MiB", json::object(), {}};
  auto verdict = payments::check_signature(r.header("stripe-signature"), r.body, how.webhook_secrets, now_ms());
  if (verdict != payments::signature_verdict::good)
    co_return invalid(std::string{"The Stripe-Signature is "} + payments::to_string(verdict), "Stripe-Signature");
  auto body = parse_json(r.body);
  if (!body)
    co_return invalid("The body is not JSON: " + body.error().message);
  auto event = payments::read_stripe_event(*body, how.prices, how.currency);
  if (!event) {
    log::error("payments: an event of Stripe's is not taken: {}", event.error().message);
    if (event.error().code == "malformed")
      co_return invalid("The event is " + event.error().code);
    co_return unavailable("The event cannot be taken: " + event.error().code); // Stripe sends it again, and tells
  }
  json answer = {{"received", true}};
  if (desk.took(event->id)) {
    answer["duplicate"] = true;
    co_return reply::of(std::move(answer));
  }
  auto problem_of_it = co_await desk.take(std::move(*event));
  if (problem_of_it)
    co_return std::move(*problem_of_it);
  co_return reply::of(std::move(answer));
}

std::vector<endpoint> billing_endpoints(const head& h, const payments::cashier& desk) {
  std::vector<endpoint> out;
  out.push_back(
      declare<topup_body>({.method = verb::post,
                           .path = "/api/credits/topup",
                           .operation = "credits_topup",
                           .summary = "Buy credits; with a payment provider, the address of its checkout",
                           .tags = {"Billing"},
                           .rate = rate_class::payment,
                           .key_scope = scope::account},
                          [&h, &desk](const request& r, topup_body body, nothing) { return topup(h, desk, r, body); }));
  out.push_back(declare<checkout_body>(
      {.method = verb::post,
       .path = "/api/stripe/create-checkout",
       .operation = "stripe_checkout",
       .summary = "Buy a tier, or change it: a higher one at once, a lower one at the end of the period",
       .tags = {"Billing"},
       .rate = rate_class::payment,
       .key_scope = scope::account},
      [&desk](const request& r, checkout_body body, nothing) { return create_checkout(desk, r, std::move(body)); }));
  out.push_back(declare({.method = verb::post,
                         .path = "/api/stripe/create-portal",
                         .operation = "stripe_portal",
                         .summary = "The page on which the subscription and its cards are managed",
                         .tags = {"Billing"},
                         .rate = rate_class::payment,
                         .key_scope = scope::account},
                        [&desk](const request& r, nothing, nothing) { return create_portal(desk, r); }));
  out.push_back(declare({.path = "/api/subscription",
                         .operation = "subscription",
                         .summary = "Your tier, what was bought, and what changes when",
                         .tags = {"Billing"}},
                        [&h, &desk](const request& r, nothing, nothing) { return show_subscription(h, desk, r); }));
  out.push_back(declare({.path = "/api/stripe/config",
                         .operation = "stripe_config",
                         .summary = "The payment provider and its public key",
                         .tags = {"Billing"},
                         .needs = access::anyone},
                        [&desk](const request&, nothing, nothing) { return stripe_config(desk); }));
  out.push_back(declare<raw_body>({.method = verb::post,
                                   .path = "/api/stripe/webhook",
                                   .operation = "stripe_webhook",
                                   .summary = "Where Stripe tells what was paid; signed by it",
                                   .tags = {"Billing"},
                                   .needs = access::anyone,
                                   .rate = rate_class::none},
                                  [&desk](const request& r, raw_body, nothing) { return stripe_webhook(desk, r); }));
  return out;
}

} // namespace troupe::http::studio
