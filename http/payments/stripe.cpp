#include "http/payments/stripe.hpp"

#include "common/catalog/tiers.hpp"
#include "common/log.hpp"

namespace troupe::payments {

namespace asio = boost::asio;

namespace {

/// A text of an answer; "" when it is none.
std::string word(const json& of, const char* name) {
  auto found = of.find(name);
  return found != of.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

bool is_id(const std::string& text) {
  return !text.empty() && text.size() <= 255 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
             std::string::npos;
}

/// The id of a subscription's first item; "" when there is none.
std::string first_item(const json& subscription) {
  auto items = subscription.find("items");
  if (items == subscription.end() || !items->is_object())
    return {};
  auto data = items->find("data");
  if (data == items->end() || !data->is_array() || data->empty() || !data->front().is_object())
    return {};
  return word(data->front(), "id");
}

form_fields common_fields(const buyer& who, const char* mode) {
  form_fields out{{"mode", mode},
                  {"client_reference_id", who.account},
                  {"metadata[account]", who.account},
                  {"success_url", who.return_url + "/?checkout=success"},
                  {"cancel_url", who.return_url + "/?checkout=cancelled"}};
  if (!who.customer.empty())
    out.emplace_back("customer", who.customer);
  return out;
}

} // namespace

std::string stripe::price_of(const std::string& plan) const {
  for (const auto& [price, tier] : options_.prices)
    if (tier == plan)
      return price;
  return {};
}

asio::awaitable<result<checkout>> stripe::open_session(form_fields fields, std::string once) {
  std::string path = "/v1/checkout/sessions";
  auto made = co_await client_.post(path, fields, once);
  if (!made && made.error().code == "customer_gone") { // deleted in Stripe's dashboard: Checkout makes a new one
    auto payment = std::erase_if(fields, [](const auto& field) { return field.first == "customer"; }) > 0 &&
                   fields.front().second == "payment";
    if (payment)
      fields.emplace_back("customer_creation", "always");
    once += "-anew";
    made = co_await client_.post(path, std::move(fields), std::move(once));
  }
  if (!made)
    co_return made.error();
  checkout out;
  out.url = word(*made, "url");
  out.session = word(*made, "id");
  if (out.url.empty() || out.session.empty())
    co_return fail("refused", "Stripe made a checkout session without url or id");
  co_return out;
}

asio::awaitable<result<checkout>> stripe::buy_credits(buyer who, std::int64_t credits, std::string once) {
  auto fields = common_fields(who, "payment");
  if (who.customer.empty())
    fields.emplace_back("customer_creation", "always");
  fields.insert(fields.end(), {{"metadata[kind]", "topup"},
                               {"metadata[credits]", std::to_string(credits)},
                               {"payment_intent_data[metadata][account]", who.account},
                               {"line_items[0][quantity]", std::to_string(credits)},
                               {"line_items[0][price_data][currency]", options_.currency},
                               {"line_items[0][price_data][unit_amount]", "1"},
                               {"line_items[0][price_data][product_data][name]", "Credits"}});
  co_return co_await open_session(std::move(fields), std::move(once));
}

asio::awaitable<result<checkout>> stripe::subscribe(buyer who, std::string plan, std::string once) {
  if (plan == "free") {
    if (!who.active || !is_id(who.subscription))
      co_return fail("no_customer", "there is no subscription that could be ended");
    form_fields end{{"cancel_at_period_end", "true"}};
    auto path = "/v1/subscriptions/" + who.subscription;
    auto ended = co_await client_.post(std::move(path), std::move(end), std::move(once));
    if (!ended)
      co_return ended.error();
    checkout out;
    out.requested = true;
    co_return out;
  }
  auto price = price_of(plan);
  if (price.empty())
    co_return fail("not_sold", "payments.stripe_prices names no price for " + plan);
  if (who.active && is_id(who.subscription)) {
    co_return co_await change(std::move(who), std::move(plan), std::move(once));
  }
  auto fields = common_fields(who, "subscription");
  fields.insert(fields.end(), {{"line_items[0][price]", price},
                               {"line_items[0][quantity]", "1"},
                               {"subscription_data[metadata][account]", who.account}});
  co_return co_await open_session(std::move(fields), std::move(once));
}

// A tier above the one that this period is paid for is paid for now, in proportion, or not given; another one costs
// from the next period on.
asio::awaitable<result<checkout>> stripe::change(buyer who, std::string plan, std::string once) {
  auto path = "/v1/subscriptions/" + who.subscription;
  auto now = co_await client_.get(path);
  if (!now)
    co_return now.error();
  change_of wanted{std::move(path), first_item(*now), price_of(plan), once,
                   catalog::tier_of(plan) > catalog::tier_of(who.tier)};
  if (!is_id(wanted.item))
    co_return fail("refused", "subscription " + who.subscription + " has no items");
  // Who chose a lower tier for the next period pays for that one at Stripe already: the difference is to be that to the
  // tier of this period, which is paid for.
  auto paid_for = price_of(who.tier), chosen = price_of(who.plan);
  bool restores = wanted.now && catalog::tier_of(who.plan) < catalog::tier_of(who.tier) && !paid_for.empty();
  if (restores) {
    change_of restored{wanted.path, wanted.item, paid_for, once + "-restored", false};
    auto done = co_await set_price(std::move(restored));
    if (!done)
      co_return done.error();
  }
  change_of back{wanted.path, wanted.item, chosen, once + "-back", false};
  auto changed = co_await set_price(std::move(wanted));
  if (!changed && restores && changed.error().code == "declined" && !chosen.empty()) {
    auto undone = co_await set_price(std::move(back));
    if (!undone)
      log::error("payments: the upgrade of account {} was declined, and {} does not go back to price {}: {}",
                 who.account, who.subscription, chosen, undone.error().message);
  }
  if (!changed)
    co_return changed.error();
  checkout out;
  out.requested = true;
  co_return out;
}

asio::awaitable<result<json>> stripe::set_price(change_of wanted) {
  form_fields fields{{"items[0][id]", wanted.item},
                     {"items[0][price]", wanted.price},
                     {"cancel_at_period_end", "false"},
                     {"proration_behavior", wanted.now ? "always_invoice" : "none"}};
  if (wanted.now)
    fields.emplace_back("payment_behavior", "error_if_incomplete");
  co_return co_await client_.post(std::move(wanted.path), std::move(fields), std::move(wanted.once));
}

asio::awaitable<result<void>> stripe::cancel(buyer who) {
  if (!who.active || !is_id(who.subscription))
    co_return result<void>{};
  auto path = "/v1/subscriptions/" + who.subscription;
  auto ended = co_await client_.remove(std::move(path));
  if (!ended && ended.error().code != "missing") // missing: it has ended, perhaps by the same request sent before
    co_return ended.error();
  co_return result<void>{};
}

asio::awaitable<result<std::string>> stripe::portal(buyer who, std::string once) {
  if (who.customer.empty())
    co_return fail("no_customer", "nothing was bought yet");
  form_fields fields{{"customer", who.customer}, {"return_url", who.return_url + "/"}};
  auto made = co_await client_.post("/v1/billing_portal/sessions", std::move(fields), std::move(once));
  if (!made)
    co_return made.error();
  auto url = word(*made, "url");
  if (url.empty())
    co_return fail("refused", "Stripe made a portal session without url");
  co_return url;
}

} // namespace troupe::payments
