#include "http/bridge/blob_guard.hpp"

#include "common/log.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace troupe::http {

namespace asio = boost::asio;

asio::awaitable<result<void>> blob_guard::check(std::string sha256) {
  {
    std::lock_guard guard(mutex_);
    if (good_.contains(sha256) && blobs_.has(sha256))
      co_return result<void>{};
  }
  co_return co_await check_again(std::move(sha256));
}

asio::awaitable<result<void>> blob_guard::check_again(std::string sha256) {
  auto work = [this, sha256]() -> asio::awaitable<result<void>> { co_return blobs_.verify(sha256); };
  auto outcome = co_await asio::co_spawn(pool_, std::move(work), asio::use_awaitable);
  std::lock_guard guard(mutex_);
  if (outcome) {
    if (good_.size() >= remembered_max)
      good_.clear();
    good_.insert(sha256);
  } else {
    good_.erase(sha256);
    log::error("artifact {} cannot be served: {}", sha256, outcome.error().message);
  }
  co_return outcome;
}

asio::awaitable<void> blob_guard::remove(std::string sha256) {
  auto work = [this, sha256]() -> asio::awaitable<void> {
    if (auto removed = blobs_.remove(sha256); !removed)
      log::warn("artifact {} could not be removed: {}", sha256, removed.error().message);
    co_return;
  };
  co_await asio::co_spawn(pool_, std::move(work), asio::use_awaitable);
}

} // namespace troupe::http
