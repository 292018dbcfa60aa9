#pragma once

#include "http/server/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <unordered_map>

namespace troupe::http {

using tcp = asio::ip::tcp;
inline constexpr auto await_tuple = asio::as_tuple(asio::use_awaitable);

class connection;

/// What all connections of a server share. Thread-safe.
class host {
public:
  host(server_options o, request_handler h) : options(std::move(o)), answer(std::move(h)) {}

  const server_options options;
  const request_handler answer;
  std::atomic<bool> draining{false};
  std::atomic<std::uint64_t> accepted{0}, turned_away{0}, requests{0}, streams_open{0}, body_bytes{0};

  /// False: too many, in all or from its address.
  bool admit(const std::shared_ptr<connection>& c);
  void leave(const std::shared_ptr<connection>& c);
  /// Lets go of all connections; for the end, before their executors go.
  void forget();
  void count_refusal(int status);
  std::map<int, std::uint64_t> refusals() const;
  std::vector<std::shared_ptr<connection>> connections() const;
  std::size_t open() const;
  /// True when the last connection left in time.
  bool wait_until_empty(std::chrono::milliseconds at_most);

private:
  mutable std::mutex mutex_;
  std::condition_variable left_;
  std::set<std::shared_ptr<connection>> open_;
  std::unordered_map<std::string, std::size_t> by_address_;
  std::map<int, std::uint64_t> refusals_;
};

/// A client's socket with a deadline. Belongs to the thread of its executor.
class connection : public std::enable_shared_from_this<connection> {
public:
  connection(tcp::socket s, std::string address);

  tcp::socket socket;
  const std::string remote_address; ///< as text
  const std::string address_group;  ///< what the limit per address counts: the address, or its /64
  bool idle = false;                ///< between two requests: a drain may close it
  std::shared_ptr<wakeup> bell;     ///< of the event stream that runs, if one does

  /// Whatever is pending when the time is over is cancelled, and expired() says so.
  void within(std::chrono::milliseconds time);
  void no_deadline();
  bool expired() const { return expired_; }

  /// Writes all of the pieces or says false. `time` is for the whole call.
  asio::awaitable<bool> write(std::chrono::milliseconds time, std::string_view a, std::string_view b = {},
                              std::string_view c = {});
  /// Lets the client read the last answer before the reset that unread input would cause: shuts down sending, then
  /// discards what still comes, within bounds, and closes.
  asio::awaitable<void> close_politely(std::chrono::milliseconds time);
  void close();
  /// Posted by a drain: ends what is idle and wakes what streams.
  void on_drain();

private:
  using clock = std::chrono::steady_clock;
  void arm();
  void on_timer();

  asio::steady_timer timer_;
  std::optional<clock::time_point> deadline_;
  clock::time_point wakes_at_{};
  bool armed_ = false;
  bool expired_ = false;
};

/// What of a request decides how its reply is written.
struct exchange {
  bool head = false;
  bool http_1_1 = true;
  bool keep_alive = true;
  http::family family = http::family::studio;
  std::string request_id;
  std::string range, if_range, if_none_match;
};

/// Writes a reply; true: the connection may serve another request.
asio::awaitable<bool> write_reply(host& h, connection& c, exchange x, reply r);
/// The same for an event stream.
asio::awaitable<bool> write_events(host& h, connection& c, const exchange& x, std::string head, event_stream s);

/// The status line and headers up to the blank line. `length`: of the body, or nullopt for none to be told.
std::string response_head(const exchange& x, int status, const header_list& headers,
                          std::optional<std::uint64_t> length);

/// Serves requests until the connection ends.
asio::awaitable<void> serve(std::shared_ptr<host> h, std::shared_ptr<connection> c);

} // namespace troupe::http
