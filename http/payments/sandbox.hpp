#pragma once

#include "http/payments/provider.hpp"

namespace troupe::payments {

/// Takes no money and pays at once: for trying, for tests, and for studios that charge nobody. Its subscriptions renew
/// themselves every 30 days.
class sandbox final : public provider {
public:
  const char* name() const override { return "sandbox"; }
  boost::asio::awaitable<result<checkout>> buy_credits(buyer who, std::int64_t credits, std::string once) override;
  boost::asio::awaitable<result<checkout>> subscribe(buyer who, std::string plan, std::string once) override;
  boost::asio::awaitable<result<void>> cancel(buyer who) override;
  boost::asio::awaitable<result<std::string>> portal(buyer who, std::string once) override;
};

} // namespace troupe::payments
