#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace troupe::http {

/// Argon2id (RFC 9106, by libsodium: 64 MiB, 2 passes) on threads of its own, bounded in number, so that a flood of
/// logins starves neither actors nor the network: the threads give way to all others, so many may wait and no more, and
/// of one address only an eighth of these, so that one who floods does not keep the others out.
class passwords {
public:
  explicit passwords(unsigned threads = 1, std::size_t waiting_max = 64);
  ~passwords();

  /// The encoded hash; nothing when too many wait already (answer 503), in all or from `address`.
  boost::asio::awaitable<std::optional<std::string>> hash(std::string password, std::string address);
  /// Whether it matches; nothing when too many wait. An empty `encoded` takes as long as a real one and never matches.
  boost::asio::awaitable<std::optional<bool>> verify(std::string encoded, std::string password, std::string address);

  /// The same as hash(), here and now: for the command line.
  static std::string hash_now(const std::string& password);

private:
  template <class Result>
  boost::asio::awaitable<std::optional<Result>> on_pool(std::string address, std::function<Result()> work);
  bool enter(const std::string& address);
  void leave(const std::string& address);

  const std::size_t waiting_max_;
  const std::string nobody_; // what an unknown user's password is compared with, so that both take the same time
  std::mutex mutex_;
  std::size_t waiting_ = 0;
  std::map<std::string, std::size_t> of_address_;
  boost::asio::thread_pool pool_;
};

} // namespace troupe::http
