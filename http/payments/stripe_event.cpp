#include "http/payments/stripe_event.hpp"

#include <algorithm>

namespace troupe::payments {

namespace {

constexpr std::size_t id_bytes_max = 255;
constexpr std::int64_t credits_max = 1'000'000'000;
constexpr std::int64_t seconds_max = 253'402'300'799; // the end of the year 9999

/// Follows a path of names; null where there is none.
const json& at(const json& from, std::initializer_list<const char*> path) {
  static const json nothing;
  const json* now = &from;
  for (const auto* name : path) {
    if (!now->is_object())
      return nothing;
    auto found = now->find(name);
    if (found == now->end())
      return nothing;
    now = &*found;
  }
  return *now;
}

/// A text of reasonable length without control characters, or "".
std::string text(const json& value) {
  if (!value.is_string())
    return {};
  const auto& out = value.get_ref<const std::string&>();
  bool plain = std::all_of(out.begin(), out.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  return plain && out.size() <= id_bytes_max ? out : std::string{};
}

/// An id, or an object (where Stripe was asked to expand it) that has one.
std::string id_of(const json& value) { return value.is_object() ? text(at(value, {"id"})) : text(value); }

std::int64_t number(const json& value, std::int64_t most) {
  if (!value.is_number_integer())
    return -1;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(most))
    return -1;
  auto out = value.get<std::int64_t>();
  return out >= 0 && out <= most ? out : -1;
}

/// Seconds to milliseconds; 0 where there are none.
timestamp time_of(const json& value) {
  auto seconds = number(value, seconds_max);
  return seconds <= 0 ? 0 : seconds * 1000;
}

std::string status_of(const std::string& stripes) {
  if (stripes == "active" || stripes == "trialing")
    return "active";
  if (stripes == "past_due" || stripes == "unpaid" || stripes == "paused")
    return "past_due";
  if (stripes == "canceled" || stripes == "incomplete_expired")
    return "ended";
  return stripes == "incomplete" ? "none" : "";
}

using meaning = decltype(stripe_event::what);

/// A checkout session that was completed, in mode `payment`: a top-up.
result<meaning> of_session(const json& session, const std::string& currency) {
  if (text(at(session, {"mode"})) != "payment" || text(at(session, {"metadata", "kind"})) != "topup" ||
      text(at(session, {"payment_status"})) != "paid") // a slow method: async_payment_succeeded follows
    return meaning{of_no_concern{}};
  paid_credits out;
  out.account = text(at(session, {"client_reference_id"}));
  out.payment = id_of(at(session, {"payment_intent"}));
  out.customer = id_of(at(session, {"customer"}));
  auto words = text(at(session, {"metadata", "credits"}));
  bool digits = !words.empty() && words.size() <= 9 &&
                std::all_of(words.begin(), words.end(), [](char c) { return c >= '0' && c <= '9'; });
  out.credits = digits ? std::stoll(words) : 0;
  if (out.account.empty() || out.payment.empty() || out.credits == 0)
    return fail("malformed", "a top-up without client_reference_id, payment_intent or metadata.credits");
  auto paid = number(at(session, {"amount_subtotal"}), credits_max); // before taxes and discounts
  if (paid != out.credits || text(at(session, {"currency"})) != currency)
    return fail("wrong_amount", "payment " + out.payment + " of account " + out.account + " is for " +
                                    std::to_string(out.credits) + " credits, but its price is " + std::to_string(paid) +
                                    " hundredths of " + text(at(session, {"currency"})));
  return meaning{std::move(out)};
}

result<meaning> of_refund(const json& refund) {
  paid_back out;
  out.payment = id_of(at(refund, {"payment_intent"}));
  out.reference = text(at(refund, {"id"}));
  out.credits = number(at(refund, {"amount"}), credits_max);
  auto status = text(at(refund, {"status"}));
  out.again = status == "failed" || status == "canceled"; // the bank sent it back, perhaps after it had succeeded
  if ((status != "succeeded" && !out.again) || out.payment.empty())
    return meaning{of_no_concern{}};
  if (out.reference.empty() || out.credits <= 0)
    return fail("malformed", "a refund without id or amount");
  return meaning{std::move(out)};
}

result<meaning> of_dispute(const json& dispute, bool again) {
  paid_back out;
  out.payment = id_of(at(dispute, {"payment_intent"}));
  out.reference = text(at(dispute, {"id"}));
  out.credits = number(at(dispute, {"amount"}), credits_max);
  out.again = again;
  if (out.payment.empty())
    return meaning{of_no_concern{}};
  if (out.reference.empty() || out.credits <= 0)
    return fail("malformed", "a dispute without id or amount");
  return meaning{std::move(out)};
}

result<meaning> of_subscription(const json& subscription, const price_table& prices) {
  subscription_is out;
  out.subscription = text(at(subscription, {"id"}));
  out.customer = id_of(at(subscription, {"customer"}));
  out.account = text(at(subscription, {"metadata", "account"}));
  out.status = status_of(text(at(subscription, {"status"})));
  const auto& items = at(subscription, {"items", "data"});
  if (out.subscription.empty() || out.customer.empty() || out.status.empty() || !items.is_array() || items.empty())
    return fail("malformed", "a subscription without id, customer, known status or items");
  const auto& item = items.front();
  auto bought = id_of(at(item, {"price"}));
  auto plan = std::find_if(prices.begin(), prices.end(), [&](const price& one) { return one.id == bought; });
  if (plan == prices.end() && out.account.empty())
    return meaning{of_no_concern{}};                 // of something else that is sold with the same Stripe account
  if (plan == prices.end() && out.status != "ended") // what is no longer sold can still end
    return fail("unknown_price", "subscription " + out.subscription + " is to price '" + bought +
                                     "', which payments.stripe_prices does not name");
  if (plan != prices.end())
    out.plan = plan->tier;
  out.began = time_of(at(subscription, {"created"}));
  // Since Stripe's version 2025-03-31 the period is the item's.
  out.period_start =
      std::max(time_of(at(subscription, {"current_period_start"})), time_of(at(item, {"current_period_start"})));
  out.period_end =
      std::max(time_of(at(subscription, {"current_period_end"})), time_of(at(item, {"current_period_end"})));
  auto cancel_at = time_of(at(subscription, {"cancel_at"})); // what newer versions of the portal set instead
  const auto& at_end = at(subscription, {"cancel_at_period_end"});
  bool ends = (at_end.is_boolean() && at_end.get<bool>()) || (cancel_at > 0 && cancel_at <= out.period_end);
  out.ends = ends ? "yes" : "no";
  return meaning{std::move(out)};
}

result<meaning> meaning_of(const std::string& type, const json& object, const price_table& prices,
                           const std::string& currency) {
  if (type == "checkout.session.completed" || type == "checkout.session.async_payment_succeeded")
    return of_session(object, currency);
  if (type == "refund.created" || type == "refund.updated" || type == "refund.failed")
    return of_refund(object);
  if (type == "charge.dispute.funds_withdrawn" || type == "charge.dispute.funds_reinstated")
    return of_dispute(object, type == "charge.dispute.funds_reinstated");
  if (type == "customer.subscription.created" || type == "customer.subscription.updated" ||
      type == "customer.subscription.deleted")
    return of_subscription(object, prices);
  return meaning{of_no_concern{}};
}

} // namespace

result<stripe_event> read_stripe_event(const json& event, const price_table& prices, const std::string& currency) {
  stripe_event out;
  out.id = text(at(event, {"id"}));
  out.type = text(at(event, {"type"}));
  out.created = time_of(at(event, {"created"}));
  const auto& object = at(event, {"data", "object"});
  if (out.id.empty() || out.type.empty() || out.created == 0 || !object.is_object() ||
      text(at(event, {"object"})) != "event")
    return fail("malformed", "no event of Stripe's: it needs object, id, type, created and data.object");
  auto what = meaning_of(out.type, object, prices, currency);
  if (!what)
    return what.error();
  out.what = std::move(*what);
  return out;
}

} // namespace troupe::payments
