#include "http/bridge/blob_guard.hpp"

#include "common/log.hpp"
#include "http/bridge/offload.hpp"

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
  std::function<result<void>()> work = [this, sha256] { return blobs_.verify(sha256); };
  auto outcome = co_await offload<result<void>>(pool_, std::move(work));
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
  std::function<result<void>()> work = [this, sha256] { return blobs_.remove(sha256); };
  auto removed = co_await offload<result<void>>(pool_, std::move(work));
  if (!removed)
    log::warn("artifact {} could not be removed: {}", sha256, removed.error().message);
}

} // namespace troupe::http
