#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <functional>
#include <optional>
#include <string>

namespace troupe::http {

/// Argon2id (RFC 9106, by libsodium: 64 MiB, 2 passes) on threads of its own, bounded in number, so that a flood of
/// logins starves neither actors nor the network.
class passwords {
public:
  explicit passwords(unsigned threads = 1, std::size_t waiting_max = 64);
  ~passwords();

  /// The encoded hash; nothing when too many wait already (answer 503).
  boost::asio::awaitable<std::optional<std::string>> hash(std::string password);
  /// Whether it matches; nothing when too many wait. An empty `encoded` takes as long as a real one and never matches.
  boost::asio::awaitable<std::optional<bool>> verify(std::string encoded, std::string password);

  /// The same as hash(), here and now: for the command line.
  static std::string hash_now(const std::string& password);

private:
  template <class Result>
  boost::asio::awaitable<std::optional<Result>> on_pool(std::function<Result()> work);

  boost::asio::thread_pool pool_;
  const std::size_t waiting_max_;
  std::atomic<std::size_t> waiting_{0};
};

} // namespace troupe::http
