#pragma once

#include "common/json.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

namespace troupe::payments {

struct stripe_client_options {
  std::string url = "https://api.stripe.com"; // without a slash at the end
  std::string key;                            // secret; it is in no error and no log
  unsigned threads = 4;
  std::size_t waiting_max = 64; // calls under way or waiting; beyond: `busy`
  long connect_ms = 5'000, call_ms = 15'000;
  int attempts = 3;
  std::size_t answer_bytes_max = 1 << 20;
};

using form_fields = std::vector<std::pair<std::string, std::string>>;

/// Calls Stripe's API on threads of its own. What fails in a way that says nothing of what Stripe did is tried again
/// under the same Idempotency-Key, so that it is done once.
class stripe_client {
public:
  explicit stripe_client(stripe_client_options options);
  ~stripe_client();

  /// Errors: `busy`, `unreachable`, `declined`, `refused`, see provider.hpp; `missing` (Stripe has nothing there),
  /// `customer_gone` (the customer that was named is no more).
  boost::asio::awaitable<result<json>> post(std::string path, form_fields fields, std::string once);
  boost::asio::awaitable<result<json>> get(std::string path);
  boost::asio::awaitable<result<json>> remove(std::string path);

private:
  struct call {
    const char* method = "GET";
    std::string path, body, once;
  };
  struct answer {
    long status = 0; // 0: there was none
    std::string body, problem;
    int should_retry = -1; // what Stripe said of it: 1 yes, 0 no
    bool replayed = false; // it repeats what the same Idempotency-Key was answered before
  };
  struct outcome {
    result<json> said;
    bool declined_before = false; // a decline that is only repeated
  };
  boost::asio::awaitable<result<json>> run(call what);
  result<json> work(const call& what) const;
  outcome work_once(const call& what) const;
  answer send(const call& what) const;

  stripe_client_options options_;
  boost::asio::thread_pool pool_;
  std::atomic<std::size_t> waiting_{0};
};

/// name=value&… as application/x-www-form-urlencoded.
std::string encode_form(const form_fields& fields);

} // namespace troupe::payments
