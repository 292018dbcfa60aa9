#pragma once

// A small blocking HTTP client for tests: it can also say what no well-behaved client says.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::testing {

struct http_response {
  int status = 0;                             ///< 0: none came
  std::map<std::string, std::string> headers; ///< names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    auto found = headers.find(name);
    return found == headers.end() ? std::string{} : found->second;
  }
};

/// One connection to 127.0.0.1. Every wait ends after `patience`.
class http_client {
public:
  explicit http_client(std::uint16_t port, std::chrono::milliseconds patience = std::chrono::seconds{5})
    : patience_(patience) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      close();
  }
  ~http_client() { close(); }
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  bool connected() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }
  void stop_sending() { ::shutdown(fd_, SHUT_WR); }

  /// False when the server has closed its side.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd p{fd_, POLLOUT, 0};
      if (::poll(&p, 1, static_cast<int>(patience_.count())) <= 0)
        return false;
      auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// Builds a request with Host and Content-Length and sends it.
  bool request(const std::string& method, const std::string& target, const std::string& body = {},
               const std::vector<std::string>& headers = {}) {
    std::string text = method + ' ' + target + " HTTP/1.1\r\nhost: test\r\n";
    for (const auto& h : headers)
      text += h + "\r\n";
    if (!body.empty())
      text += "content-length: " + std::to_string(body.size()) + "\r\n";
    return send(text + "\r\n" + body);
  }

  /// Reads one response; `head`: to a HEAD request, so without a body.
  http_response response(bool head = false) {
    http_response out;
    auto end = wait_for("\r\n\r\n");
    if (!end)
      return out;
    parse_head(out, in_.substr(0, *end));
    in_.erase(0, *end + 4);
    if (out.status == 100)
      return response(head);
    if (head || out.status == 204 || out.status == 304)
      return out;
    if (out.header("transfer-encoding") == "chunked")
      read_chunks(out);
    else if (auto length = out.headers.find("content-length"); length != out.headers.end())
      out.body = exactly(static_cast<std::size_t>(std::strtoull(length->second.c_str(), nullptr, 10)));
    else
      out.body = rest();
    return out;
  }

  http_response get(const std::string& target, const std::vector<std::string>& headers = {}) {
    request("GET", target, {}, headers);
    return response();
  }
  http_response post(const std::string& target, const std::string& body, std::vector<std::string> headers = {}) {
    headers.push_back("content-type: application/json");
    request("POST", target, body, headers);
    return response();
  }

  /// Reads until `mark` was seen; all up to its end, or nullopt. For streams.
  std::optional<std::string> until(const std::string& mark) {
    auto at = wait_for(mark);
    if (!at)
      return std::nullopt;
    auto out = in_.substr(0, *at + mark.size());
    in_.erase(0, out.size());
    return out;
  }
  /// Everything up to the end of the connection.
  std::string rest() {
    while (fill()) {}
    return std::exchange(in_, {});
  }
  /// True when the server closed and nothing unread is left, within the patience.
  bool closed_by_server() {
    while (fill()) {}
    return ended_ && in_.empty();
  }
  bool has_unread() const { return !in_.empty(); }

private:
  // False: the server closed, or the time is over.
  bool fill() {
    pollfd p{fd_, POLLIN, 0};
    if (fd_ < 0 || ended_ || ::poll(&p, 1, static_cast<int>(patience_.count())) <= 0)
      return false;
    char piece[16384];
    auto n = ::recv(fd_, piece, sizeof piece, 0);
    if (n <= 0) {
      ended_ = true;
      return false;
    }
    in_.append(piece, static_cast<std::size_t>(n));
    return true;
  }
  std::optional<std::size_t> wait_for(const std::string& mark) {
    for (;;) {
      if (auto at = in_.find(mark); at != std::string::npos)
        return at;
      if (!fill())
        return std::nullopt;
    }
  }
  std::string exactly(std::size_t n) {
    while (in_.size() < n && fill()) {}
    auto out = in_.substr(0, n);
    in_.erase(0, out.size());
    return out;
  }
  void read_chunks(http_response& out) {
    for (;;) {
      auto end = wait_for("\r\n");
      if (!end)
        return;
      auto size = static_cast<std::size_t>(std::strtoull(in_.c_str(), nullptr, 16));
      in_.erase(0, *end + 2);
      out.body += exactly(size);
      exactly(2);
      if (size == 0)
        return;
    }
  }
  static void parse_head(http_response& out, const std::string& head) {
    out.status = head.size() > 12 ? std::atoi(head.c_str() + 9) : 0;
    for (auto at = head.find("\r\n"); at != std::string::npos;) {
      auto next = head.find("\r\n", at + 2);
      auto line = head.substr(at + 2, next == std::string::npos ? std::string::npos : next - at - 2);
      auto colon = line.find(':');
      std::string name = line.substr(0, colon);
      for (char& c : name)
        c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      if (colon != std::string::npos)
        out.headers[name] = line.substr(std::min(line.find_first_not_of(' ', colon + 1), line.size()));
      at = next;
    }
  }

  int fd_ = -1;
  std::chrono::milliseconds patience_;
  std::string in_;
  bool ended_ = false;
};

} // namespace troupe::testing
