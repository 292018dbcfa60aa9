#pragma once

#include "common/result.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <mutex>
#include <set>
#include <string>

namespace troupe::http {

/// Makes an uploaded picture into a portrait: a square JPEG with nothing of the original but what is seen. The head
/// decodes no picture: `shrink` does it in a process of its own, and blocks meanwhile, on a thread of ours.
class portraits {
public:
  using shrinker = std::function<result<std::string>(const std::string& bytes)>;
  explicit portraits(shrinker shrink) : shrink_(std::move(shrink)) {}
  ~portraits() { pool_.join(); }

  /// Errors: `media` (it is no picture, or a broken one), `busy` (too many wait), `own` (one of this account is being
  /// made), others of the shrinker.
  boost::asio::awaitable<result<std::string>> make(std::string account, std::string bytes);

private:
  /// Empty, or the error.
  std::string enter(const std::string& account);
  void leave(const std::string& account);

  static constexpr std::size_t waiting_max = 8; // of 10 MB each

  shrinker shrink_;
  boost::asio::thread_pool pool_{1};
  std::mutex mutex_;
  std::set<std::string> accounts_; // whose pictures wait: one of each, so that nobody takes all places
};

} // namespace troupe::http
