#include "http/payments/stripe_client.hpp"
#include "http/payments/stripe_event.hpp"
#include "http/payments/stripe_signature.hpp"

#include <gtest/gtest.h>

namespace troupe::payments {
namespace {

constexpr timestamp now = 1'700'000'000'000;

std::string signed_at(std::int64_t seconds, const std::string& body, const std::string& secret) {
  auto t = std::to_string(seconds);
  return "t=" + t + ",v1=" + hmac_sha256_hex(secret, t + "." + body);
}

TEST(StripeSignature, IsTheHmacOfTheStandard) {
  // RFC 4231, test case 2.
  EXPECT_EQ(hmac_sha256_hex("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(StripeSignature, IsGoodForTheBodyAndSecretThatItWasMadeWith) {
  auto header = signed_at(now / 1000, "{}", "whsec_1");
  EXPECT_EQ(check_signature(header, "{}", {"whsec_1"}, now), signature_verdict::good);
  EXPECT_EQ(check_signature(header, "{ }", {"whsec_1"}, now), signature_verdict::wrong);
  EXPECT_EQ(check_signature(header, "{}", {"whsec_2"}, now), signature_verdict::wrong);
  EXPECT_EQ(check_signature(header, "{}", {}, now), signature_verdict::wrong);
  EXPECT_EQ(check_signature(header, "{}", {""}, now), signature_verdict::wrong);
  EXPECT_EQ(check_signature(header, "{}", {"whsec_2", "whsec_1"}, now), signature_verdict::good) << "a rolled secret";
}

TEST(StripeSignature, CountsFiveMinutesBothWays) {
  EXPECT_EQ(check_signature(signed_at(now / 1000 - 300, "{}", "s"), "{}", {"s"}, now), signature_verdict::good);
  EXPECT_EQ(check_signature(signed_at(now / 1000 - 301, "{}", "s"), "{}", {"s"}, now), signature_verdict::too_old);
  EXPECT_EQ(check_signature(signed_at(now / 1000 + 301, "{}", "s"), "{}", {"s"}, now), signature_verdict::too_old);
}

TEST(StripeSignature, RefusesWhatIsNoSuchHeader) {
  std::string hex(64, 'a');
  for (const auto& header : {std::string{}, std::string{"t=1"}, "v1=" + hex, "t=,v1=" + hex, "t=-1,v1=" + hex,
                             "t=1,t=2,v1=" + hex, "t=1,v1=" + hex.substr(1), "t=1,v1=" + std::string(64, 'A'),
                             "t=99999999999999999999,v1=" + hex, std::string(5000, 't')})
    EXPECT_EQ(check_signature(header, "{}", {"s"}, now), signature_verdict::malformed) << header;
}

json event(const std::string& type, json object) {
  return {
      {"id", "evt_1"}, {"object", "event"}, {"type", type}, {"created", 1'700'000'000}, {"data", {{"object", object}}}};
}

json session() {
  return {{"id", "cs_1"},
          {"mode", "payment"},
          {"payment_status", "paid"},
          {"client_reference_id", "01alice"},
          {"payment_intent", "pi_1"},
          {"customer", "cus_1"},
          {"currency", "gbp"},
          {"amount_subtotal", 500},
          {"metadata", {{"kind", "topup"}, {"credits", "500"}}}};
}

template <class T>
T read_as(const json& e) {
  auto out = read_stripe_event(e, {{"price_pro", "pro"}}, "gbp");
  EXPECT_TRUE(out) << out.error().message;
  auto* what = std::get_if<T>(&out->what);
  EXPECT_NE(what, nullptr);
  return what ? *what : T{};
}

TEST(StripeEvent, ATopUpThatIsPaid) {
  auto paid = read_as<paid_credits>(event("checkout.session.completed", session()));
  EXPECT_EQ(paid.account, "01alice");
  EXPECT_EQ(paid.payment, "pi_1");
  EXPECT_EQ(paid.credits, 500);
}

TEST(StripeEvent, ATopUpThatIsNotPaidYetIsOfNoConcern) {
  auto slow = session();
  slow["payment_status"] = "unpaid";
  read_as<of_no_concern>(event("checkout.session.completed", slow));
}

TEST(StripeEvent, ATopUpOfAnotherPriceIsAnError) {
  auto cheap = session();
  cheap["amount_subtotal"] = 5;
  EXPECT_EQ(read_stripe_event(event("checkout.session.completed", cheap), {}, "gbp").error().code, "wrong_amount");
  EXPECT_EQ(read_stripe_event(event("checkout.session.completed", session()), {}, "eur").error().code, "wrong_amount");
}

json subscription(const char* price) {
  return {{"id", "sub_1"},
          {"customer", "cus_1"},
          {"created", 1'690'000'000},
          {"status", "active"},
          {"cancel_at_period_end", false},
          {"metadata", {{"account", "01alice"}}},
          {"items", {{"data", {{{"id", "si_1"}, {"price", {{"id", price}}}, {"current_period_end", 1'800'000'000}}}}}}};
}

TEST(StripeEvent, ASubscriptionAsNewVersionsOfStripeWriteIt) {
  auto now_so = read_as<subscription_is>(event("customer.subscription.updated", subscription("price_pro")));
  EXPECT_EQ(now_so.plan, "pro");
  EXPECT_EQ(now_so.status, "active");
  EXPECT_EQ(now_so.period_end, 1'800'000'000'000);
  EXPECT_EQ(now_so.ends, "no");
  EXPECT_EQ(now_so.began, 1'690'000'000'000);
}

TEST(StripeEvent, AnInvoiceIsOfNoConcern) {
  // It may come before the event of the subscription that it is of, be younger, and does not say what is bought.
  for (const auto* type : {"invoice.paid", "invoice.payment_failed"})
    read_as<of_no_concern>(event(type, {{"id", "in_1"}, {"customer", "cus_1"}, {"subscription", "sub_1"}}));
}

TEST(StripeEvent, ASubscriptionToWhatIsNotSoldIsAnErrorOnlyWhenItIsOurs) {
  auto other = subscription("price_other");
  EXPECT_EQ(read_stripe_event(event("customer.subscription.updated", other), {}, "gbp").error().code, "unknown_price");
  other["metadata"] = json::object();
  read_as<of_no_concern>(event("customer.subscription.updated", other));
  auto ended = subscription("price_other");
  ended["status"] = "canceled";
  EXPECT_EQ(read_as<subscription_is>(event("customer.subscription.deleted", ended)).status, "ended");
}

TEST(StripeEvent, WhatIsUnknownIsOfNoConcernAndWhatIsBrokenIsAnError) {
  read_as<of_no_concern>(event("product.created", {{"id", "prod_1"}}));
  for (const auto& broken : {json(), json(1), json::array(), json{{"id", "evt_1"}}, event("x", "text"),
                             event("customer.subscription.updated", {{"id", 7}})})
    EXPECT_EQ(read_stripe_event(broken, {}, "gbp").error().code, "malformed") << broken;
}

TEST(StripeForm, EncodesAllThatIsNotPlain) {
  EXPECT_EQ(encode_form({{"a[b]", "x y&z"}, {"c", "1"}}), "a%5Bb%5D=x%20y%26z&c=1");
}

} // namespace
} // namespace troupe::payments
