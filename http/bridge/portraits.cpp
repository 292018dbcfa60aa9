#include "http/bridge/portraits.hpp"

#include "http/bridge/offload.hpp"

#include <optional>

namespace troupe::http {

std::string portraits::enter(const std::string& account) {
  std::lock_guard guard(mutex_);
  if (accounts_.contains(account))
    return "own";
  if (accounts_.size() >= waiting_max)
    return "busy";
  accounts_.insert(account);
  return {};
}

void portraits::leave(const std::string& account) {
  std::lock_guard guard(mutex_);
  accounts_.erase(account);
}

boost::asio::awaitable<result<std::string>> portraits::make(std::string account, std::string bytes) {
  if (auto why = enter(account); !why.empty())
    co_return fail(why, "pictures are being made");
  auto held = std::make_shared<const std::string>(std::move(bytes));
  std::function<result<std::string>()> work = [this, held] { return shrink_(*held); };
  auto out = co_await offload<result<std::string>>(pool_, std::move(work));
  leave(account);
  co_return out;
}

} // namespace troupe::http
