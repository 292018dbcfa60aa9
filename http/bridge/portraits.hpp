#pragma once

#include "common/result.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <functional>
#include <string>

namespace troupe::http {

/// Makes an uploaded picture into a portrait: a square JPEG with nothing of the original but what is seen. The head
/// decodes no picture: `shrink` does it in a process of its own, and blocks meanwhile, on a thread of ours.
class portraits {
public:
  using shrinker = std::function<result<std::string>(const std::string& bytes)>;
  explicit portraits(shrinker shrink) : shrink_(std::move(shrink)) {}
  ~portraits() { pool_.join(); }

  /// Errors: `media` (it is no picture, or a broken one), `busy` (too many wait), others of the shrinker.
  boost::asio::awaitable<result<std::string>> make(std::string bytes);

private:
  static constexpr std::size_t waiting_max = 8; // of 10 MB each

  shrinker shrink_;
  boost::asio::thread_pool pool_{1};
  std::atomic<std::size_t> waiting_{0};
};

} // namespace troupe::http
