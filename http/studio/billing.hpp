#pragma once

// Credits and subscriptions as a buyer sees them, and the webhook by which Stripe tells what was paid.

#include "http/endpoint.hpp"
#include "http/payments/cashier.hpp"

namespace troupe::http::studio {

struct topup_body {
  std::int64_t credits = 0;
};
template <class V>
void describe(V& v, topup_body& x) {
  v.required("credits", x.credits, "how many, at 1 p each", {.min = 100, .max = 50'000});
}

struct checkout_body {
  std::string tier;
};
template <class V>
void describe(V& v, checkout_body& x) {
  v.required("tier", x.tier, "the tier to have; free ends the subscription with its period",
             {.one_of = {"free", "starter", "creator", "pro", "studio", "enterprise"}});
}

/// All of the below, declared. Both must outlive them.
std::vector<endpoint> billing_endpoints(const head& h, const payments::cashier& desk);

asio::awaitable<reply> topup(const head& h, const payments::cashier& desk, const request& r, topup_body body);
asio::awaitable<reply> create_checkout(const payments::cashier& desk, const request& r, checkout_body body);
asio::awaitable<reply> create_portal(const payments::cashier& desk, const request& r);
asio::awaitable<reply> show_subscription(const head& h, const payments::cashier& desk, const request& r);
asio::awaitable<reply> stripe_config(const payments::cashier& desk);
asio::awaitable<reply> stripe_webhook(const payments::cashier& desk, const request& r);

} // namespace troupe::http::studio
