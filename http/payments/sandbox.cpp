#include "http/payments/sandbox.hpp"

#include "actors/subscription/subscription_core.hpp"

namespace troupe::payments {

boost::asio::awaitable<result<checkout>> sandbox::buy_credits(buyer, std::int64_t credits, std::string once) {
  checkout out;
  out.session = "sandbox_" + once;
  out.paid = payment{out.session, credits};
  co_return out;
}

boost::asio::awaitable<result<checkout>> sandbox::subscribe(buyer who, std::string plan, std::string once) {
  checkout out;
  out.session = "sandbox_" + once;
  subscribed made;
  auto now = now_ms();
  bool running = who.active && who.period_end > now;
  if (plan == "free" && !running)
    co_return fail("no_customer", "there is no subscription that could be ended");
  made.subscription = running ? who.subscription : out.session;
  made.ends = plan == "free";
  made.plan = made.ends ? who.plan : std::move(plan);
  made.began = made.period_start = running ? 0 : now; // a change within a period begins none
  made.period_end = running ? who.period_end : now + subscription::subscription_core::sandbox_period_ms;
  out.subscription = std::move(made);
  co_return out;
}

boost::asio::awaitable<result<void>> sandbox::cancel(buyer) { co_return result<void>{}; }

boost::asio::awaitable<result<std::string>> sandbox::portal(buyer who, std::string) {
  co_return who.return_url + "/docs#/Billing";
}

} // namespace troupe::payments
