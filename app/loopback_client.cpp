#include "app/loopback_client.hpp"

#include "common/text.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace troupe::app {

loopback_client::loopback_client(std::uint16_t port) : port_(port) {}

loopback_client::~loopback_client() {
  if (fd_ >= 0)
    ::close(fd_);
}

result<void> loopback_client::dial() {
  if (fd_ >= 0)
    ::close(fd_);
  buffer_.clear();
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  timeval patience{30, 0};
  int on = 1;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0)
    return {};
  ::close(fd_);
  fd_ = -1;
  return fail("io", "cannot connect to port " + std::to_string(port_));
}

result<void> loopback_client::send_all(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    auto n = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0)
      return fail("io", "the connection broke");
    at += static_cast<std::size_t>(n);
  }
  return {};
}

bool loopback_client::fill() {
  char chunk[16384];
  auto n = ::recv(fd_, chunk, sizeof chunk, 0);
  if (n <= 0)
    return false;
  buffer_.append(chunk, static_cast<std::size_t>(n));
  return true;
}

failure loopback_client::broken() {
  ::close(fd_);
  fd_ = -1;
  return fail("io", "no answer came");
}

result<void> loopback_client::begin(const std::string& method, const std::string& path, const std::string& body) {
  if (fd_ < 0)
    if (auto dialed = dial(); !dialed)
      return dialed.error();
  auto request = method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers;
  if (!body.empty())
    request += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  request += "\r\n" + body;
  if (!send_all(request))
    return broken();
  return {};
}

result<std::pair<int, std::string>> loopback_client::finish() {
  std::size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
    if (!fill())
      return broken();
  auto head = buffer_.substr(0, end);
  last_head_ = head;
  head = lower(head);
  std::size_t length = 0;
  if (auto at = head.find("content-length: "); at != std::string::npos)
    length = std::strtoul(head.c_str() + at + 16, nullptr, 10);
  while (buffer_.size() < end + 4 + length)
    if (!fill())
      return broken();
  std::pair<int, std::string> out{std::atoi(head.c_str() + 9), buffer_.substr(end + 4, length)};
  buffer_.erase(0, end + 4 + length);
  return out;
}

result<std::pair<int, std::string>> loopback_client::ask(const std::string& method, const std::string& path,
                                                         const std::string& body) {
  if (auto begun = begin(method, path, body); !begun)
    return begun.error();
  return finish();
}

result<std::pair<int, json>> loopback_client::ask_json(const std::string& method, const std::string& path,
                                                       const json& body) {
  auto answer = ask(method, path, body.is_null() ? std::string{} : body.dump());
  if (!answer)
    return answer.error();
  std::pair<int, json> out{answer->first, json::parse(answer->second, nullptr, false)};
  return out;
}

result<std::string> loopback_client::login(const std::string& username, const std::string& password) {
  auto answer = ask_json("POST", "/api/login", {{"username", username}, {"password", password}});
  if (!answer)
    return answer.error();
  auto at = last_head_.find("troupe_session=");
  if (answer->first != 200 || at == std::string::npos)
    return fail("refused", "the login was refused with status " + std::to_string(answer->first));
  return last_head_.substr(at, last_head_.find(';', at) - at);
}

result<void> loopback_client::open_stream(const std::string& path) {
  if (auto dialed = dial(); !dialed)
    return dialed.error();
  return send_all("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n");
}

result<std::string> loopback_client::read_line() {
  std::size_t end;
  while ((end = buffer_.find('\n')) == std::string::npos)
    if (!fill())
      return fail("io", "the stream ended");
  auto out = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  if (!out.empty() && out.back() == '\r')
    out.pop_back();
  return out;
}

} // namespace troupe::app
