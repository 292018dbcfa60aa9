#pragma once

#include "common/json.hpp"
#include "common/result.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace troupe::app {

/// A keep-alive HTTP/1.1 connection to 127.0.0.1, for `troupe bench`: blocking, one request at a time, 30 s patience.
class loopback_client {
public:
  explicit loopback_client(std::uint16_t port);
  ~loopback_client();
  loopback_client(const loopback_client&) = delete;
  loopback_client& operator=(const loopback_client&) = delete;

  /// Sent with each request: "Authorization: Bearer …\r\n".
  std::string headers;

  /// Status and body. Errors: `io` (no answer; the next request dials anew).
  result<std::pair<int, std::string>> ask(const std::string& method, const std::string& path,
                                          const std::string& body = {});
  result<std::pair<int, json>> ask_json(const std::string& method, const std::string& path, const json& body = nullptr);

  /// ask() in two halves, for one who has many connections: `connection()` is readable when the answer has begun to
  /// come. Errors: as ask().
  result<void> begin(const std::string& method, const std::string& path, const std::string& body = {});
  result<std::pair<int, std::string>> finish();
  int connection() const { return fd_; } // negative after an error

  /// The session cookie of POST /api/login, "name=value". Errors: `io`, `refused`.
  result<std::string> login(const std::string& username, const std::string& password);

  /// Begins a GET whose answer does not end. Errors: `io`.
  result<void> open_stream(const std::string& path);
  /// The next line of it; empty lines too. Errors: `io` (it ended).
  result<std::string> read_line();

private:
  result<void> dial();
  result<void> send_all(const std::string& bytes);
  bool fill();
  failure broken();

  std::uint16_t port_;
  int fd_ = -1;
  std::string buffer_;
  std::string last_head_; // of the last answer, as it came
};

} // namespace troupe::app
