#pragma once

// HTTP/1.1 in front of one function. What comes from the network is bounded here: sizes, times, numbers of connections.

#include "common/networks.hpp"
#include "common/result.hpp"
#include "http/message.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace troupe::http {

struct server_options {
  std::string address = "127.0.0.1"; ///< an IP address
  std::uint16_t port = 8080;         ///< 0: any free one, see server::address()
  unsigned threads = 2;

  std::size_t header_bytes_max = 16 << 10; ///< all headers; beyond: 431
  std::size_t target_bytes_max = 8 << 10;  ///< beyond: 414
  std::uint64_t json_bytes_max = 1 << 20;  ///< a JSON body, or one of no type; beyond: 413
  std::uint64_t body_bytes_max = 10 << 20; ///< any other body; beyond: 413
  /// Bodies being received at one moment, all connections together; beyond: 503.
  std::uint64_t bodies_bytes_max = 256 << 20;
  /// After a refused body of at most this the connection stays usable; after a larger one it closes.
  std::uint64_t discard_bytes_max = 1 << 20;
  /// A body limit of its own for some requests (by path and headers); 0: the limits above. May be empty.
  std::function<std::uint64_t(const request&)> body_limit_of;

  std::size_t connections_max = 4096;             ///< beyond: 503 and close
  std::size_t connections_per_address_max = 1024; ///< IPv6: per /64

  std::chrono::milliseconds header_time{10'000};    ///< first byte to the end of the headers; beyond: 408
  std::chrono::milliseconds body_time{30'000};      ///< for the body, plus its size at `body_rate_min`; beyond: 408
  std::uint64_t body_rate_min = 64 << 10;           ///< bytes a second
  std::chrono::milliseconds write_time{30'000};     ///< for each piece of a response
  std::chrono::milliseconds idle_time{75'000};      ///< between two requests
  std::chrono::milliseconds linger_time{3'000};     ///< to let a client read why its connection is closed
  std::chrono::milliseconds heartbeat_time{15'000}; ///< a comment on a silent event stream
  std::chrono::milliseconds retry_hint{1'000};      ///< told to event streams that a drain ends

  std::size_t file_chunk_bytes = 128 << 10;
  /// Only from these: who the client is as X-Forwarded-For says, and TLS as X-Forwarded-Proto says.
  networks trusted_proxies;
};

/// Counts since the start.
struct server_statistics {
  std::uint64_t connections_open = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t requests = 0;
  std::uint64_t streams_open = 0;
  std::map<int, std::uint64_t> refused_by_status; ///< refused before the handler saw them
};

/// Owns the listening socket, its threads and all connections. The handler runs on the server's threads and must not
/// block. Whatever the handler refers to must outlive the server.
class server {
public:
  /// Errors: `listen` (the address is in use, is not one of this machine, …).
  static result<std::unique_ptr<server>> start(server_options options, request_handler answer);
  virtual ~server() = default; ///< drains with no patience

  /// "127.0.0.1:41233"
  virtual std::string address() const = 0;
  virtual std::uint16_t port() const = 0;
  virtual server_statistics statistics() const = 0;
  /// Accepts no more, lets requests finish, ends event streams with a retry hint, then closes all. After `at_most` it
  /// cuts what is left. Returns how many connections it had to cut. To be called from a thread of its own; idempotent.
  virtual std::size_t drain(std::chrono::milliseconds at_most) = 0;
};

} // namespace troupe::http
