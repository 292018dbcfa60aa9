#include "http/bridge/portraits.hpp"

#include "http/bridge/offload.hpp"

#include <optional>

namespace troupe::http {

boost::asio::awaitable<result<std::string>> portraits::make(std::string bytes) {
  if (waiting_.fetch_add(1) >= waiting_max) {
    waiting_.fetch_sub(1);
    co_return fail("busy", "too many pictures are being made");
  }
  auto held = std::make_shared<const std::string>(std::move(bytes));
  std::function<result<std::string>()> work = [this, held] { return shrink_(*held); };
  auto out = co_await offload<result<std::string>>(pool_, std::move(work));
  waiting_.fetch_sub(1);
  co_return out;
}

} // namespace troupe::http
