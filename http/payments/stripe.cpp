#include "http/payments/stripe.hpp"

#include "common/catalog/tiers.hpp"
#include "common/log.hpp"
#include "common/random.hpp"

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

/// What Stripe says a subscription is.
struct running {
  std::string item, price; // of its first item; "": none
  bool paid = false, ends = false;
};

running running_of(const json& subscription) {
  running out;
  auto status = word(subscription, "status");
  out.paid = status == "active" || status == "trialing";
  auto ends = subscription.find("cancel_at_period_end");
  out.ends = ends != subscription.end() && ends->is_boolean() && ends->get<bool>();
  auto items = subscription.find("items");
  if (items == subscription.end() || !items->is_object())
    return out;
  auto data = items->find("data");
  if (data == items->end() || !data->is_array() || data->empty() || !data->front().is_object())
    return out;
  out.item = word(data->front(), "id");
  if (auto price = data->front().find("price"); price != data->front().end() && price->is_object())
    out.price = word(*price, "id");
  return out;
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

std::string stripe::tier_of_price(const std::string& id) const {
  for (const auto& [price, tier] : options_.prices)
    if (price == id)
      return tier;
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

// A tier above the one that this period is paid for is paid for now and begins a new period, less what is left of the
// old one, or it is not given; another one costs from the next period on. What is done follows from what Stripe says
// the subscription is at this moment, as its webhooks may be late: so a wish that came true is not paid for again.
asio::awaitable<result<checkout>> stripe::change(buyer who, std::string plan, std::string once) {
  http::keys_at_work::hold alone{changing_, who.account};
  if (!alone.take())
    co_return fail("busy", "another change of this subscription is under way");
  auto path = "/v1/subscriptions/" + who.subscription;
  auto now = co_await client_.get(path);
  if (!now)
    co_return now.error();
  auto is = running_of(*now);
  if (!is_id(is.item))
    co_return fail("refused", "subscription " + who.subscription + " has no items");
  checkout out;
  out.requested = true;
  auto tier_now = tier_of_price(is.price);
  if (tier_now == plan && !is.ends)
    co_return out;
  if (!is.paid)
    co_return fail("declined", "the last invoice is not paid; the portal says what it needs");
  change_of wanted{path, is.item, price_of(plan), {}, catalog::tier_of(plan) > catalog::tier_of(who.tier)};
  wanted.once = once + "-" + wanted.price + (wanted.now ? "-now" : "-next");
  // Who chose a lower tier for the next period is to pay the difference to the tier of this one, which is paid for.
  bool restores = wanted.now && catalog::tier_of(tier_now) < catalog::tier_of(who.tier) && !price_of(who.tier).empty();
  if (restores) {
    change_of restored{path, is.item, price_of(who.tier), make_ulid(), false};
    auto done = co_await set_price(std::move(restored));
    if (!done)
      co_return done.error();
  }
  auto changed = co_await set_price(std::move(wanted));
  if (changed)
    co_return out;
  if (restores) {
    change_of back{path, is.item, is.price, make_ulid(), false};
    co_await put_back(std::move(back), price_of(who.tier), who.account);
  }
  co_return changed.error();
}

// The upgrade did not come to be, as far as is known: the lower tier was chosen and is to be it again.
asio::awaitable<void> stripe::put_back(change_of back, std::string restored, std::string account) {
  auto price = back.price, path = back.path;
  auto now = co_await client_.get(path);
  if (now && running_of(*now).price != restored)
    co_return; // it did come to be: only the answer was lost
  auto undone = co_await set_price(std::move(back));
  if (!undone)
    log::error("payments: an upgrade of account {} failed, and {} does not go back to price {}, which was chosen: {}",
               account, path, price, undone.error().message);
}

asio::awaitable<result<json>> stripe::set_price(change_of wanted) {
  form_fields fields{{"items[0][id]", wanted.item},
                     {"items[0][price]", wanted.price},
                     {"cancel_at_period_end", "false"},
                     {"proration_behavior", wanted.now ? "always_invoice" : "none"}};
  if (wanted.now)
    fields.insert(fields.end(), {{"payment_behavior", "error_if_incomplete"}, {"billing_cycle_anchor", "now"}});
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
