#pragma once

#include "storage/blobs.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <mutex>
#include <string>
#include <unordered_set>

namespace troupe::http {

/// Checks an artifact's content against its name before it is served, once in the life of the process, on a thread of
/// its own. Thread-safe.
class blob_guard {
public:
  explicit blob_guard(storage::blob_store& blobs) : blobs_(blobs) {}
  ~blob_guard() { pool_.join(); }

  /// Errors: `missing`, `corrupt`, `io`.
  boost::asio::awaitable<result<void>> check(std::string sha256);
  /// The same, even if it was good before.
  boost::asio::awaitable<result<void>> check_again(std::string sha256);
  boost::asio::awaitable<void> remove(std::string sha256);

private:
  static constexpr std::size_t remembered_max = 100'000;

  storage::blob_store& blobs_;
  boost::asio::thread_pool pool_{1};
  std::mutex mutex_;
  std::unordered_set<std::string> good_;
};

} // namespace troupe::http
