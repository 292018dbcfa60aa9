#pragma once

#include "http/idempotency.hpp"
#include "http/payments/provider.hpp"
#include "http/payments/stripe_client.hpp"
#include "http/payments/stripe_event.hpp"

namespace troupe::payments {

struct stripe_options {
  stripe_client_options client;
  price_table prices;
  std::string currency = "gbp";
};

/// Stripe: Checkout for credits and first subscriptions, the API for changes of a running one, the Portal. What was
/// paid is only ever believed from a signed webhook.
class stripe final : public provider {
public:
  explicit stripe(stripe_options options) : options_(std::move(options)), client_(options_.client) {}

  const char* name() const override { return "stripe"; }
  boost::asio::awaitable<result<checkout>> buy_credits(buyer who, std::int64_t credits, std::string once) override;
  boost::asio::awaitable<result<checkout>> subscribe(buyer who, std::string plan, std::string once) override;
  boost::asio::awaitable<result<void>> cancel(buyer who) override;
  boost::asio::awaitable<result<std::string>> portal(buyer who, std::string once) override;

private:
  boost::asio::awaitable<result<checkout>> open_session(form_fields fields, std::string once);
  struct change_of { // of a subscription's price
    std::string path, item, price, once;
    bool now = false; // and is paid now, in proportion; else from the next period on
  };
  boost::asio::awaitable<result<checkout>> change(buyer who, std::string plan, std::string once);
  boost::asio::awaitable<result<json>> set_price(change_of wanted);
  boost::asio::awaitable<void> put_back(change_of back, std::string restored, std::string account);
  std::string price_of(const std::string& plan) const;
  std::string tier_of_price(const std::string& id) const;

  stripe_options options_;
  stripe_client client_;
  http::keys_at_work changing_; // accounts whose subscription is being changed
};

} // namespace troupe::payments
