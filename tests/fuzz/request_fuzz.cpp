// A connection's bytes, as a stranger may send them, through the server's own session: what reaches the handler is
// bounded and decoded, and all that is answered is HTTP.
#include "common/check.hpp"
#include "common/text.hpp"
#include "http/authentication.hpp"
#include "http/server/connection.hpp"
#include "http/url.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

using namespace troupe;
using namespace troupe::http;

namespace {

constexpr std::size_t target_max = 200, headers_max = 1024, body_max = 256;

server_options options() {
  server_options out;
  out.target_bytes_max = target_max;
  out.header_bytes_max = headers_max;
  out.json_bytes_max = out.body_bytes_max = body_max;
  out.discard_bytes_max = 64;
  out.trusted_proxies = *networks::parse({"127.0.0.1", "10.0.0.0/8", "fd00::/8"});
  return out;
}

asio::awaitable<reply> answer(request&& r) {
  TROUPE_CHECK(r.target.size() <= headers_max && r.body.size() <= body_max && r.raw_path.starts_with('/'));
  TROUPE_CHECK(r.raw_path.find_first_of("?#") == std::string::npos && is_uuid(r.request_id));
  auto names_a_client = [](const auto& h) { return h.first == "x-forwarded-for" && !h.second.empty(); };
  TROUPE_CHECK(r.remote_address == "127.0.0.1" || std::any_of(r.headers.begin(), r.headers.end(), names_a_client));
  for (const auto& [name, value] : r.query)
    TROUPE_CHECK(is_utf8(name) && is_utf8(value) && (name + value).find('\0') == std::string::npos);
  for (const auto& [name, value] : r.headers) {
    TROUPE_CHECK(!name.empty() && std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
    TROUPE_CHECK((name + value).find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
  (void)credentials_of(r);
  (void)origin_allowed(r, {});
  co_return reply::bytes(r.body, "application/octet-stream");
}

/// All that came back is a row of responses, each with the length that it says.
void check_answers(std::string_view text, bool whole) {
  while (!text.empty()) {
    TROUPE_CHECK(text.starts_with("HTTP/1.1 "));
    auto end = text.find("\r\n\r\n");
    TROUPE_CHECK(end != std::string_view::npos || !whole);
    if (end == std::string_view::npos)
      return;
    if (text.starts_with("HTTP/1.1 100 ")) {
      text.remove_prefix(end + 4);
      continue;
    }
    auto head = lower(text.substr(0, end));
    auto at = head.find("\r\ncontent-length: ");
    auto length = at == std::string::npos ? 0 : std::stoul(head.substr(at + 18));
    text.remove_prefix(end + 4);
    if (text.size() < length || text.starts_with("HTTP/1.1 ")) // of an answer to HEAD the length alone is told
      length = 0;
    text.remove_prefix(std::min<std::size_t>(length, text.size()));
    if (at != std::string::npos && length == 0)
      return; // a body that looks like anything may follow
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::array<int, 2> ends{};
  TROUPE_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
  // All of it fits into the socket's buffer: scripts/fuzz bounds the size.
  TROUPE_CHECK(::send(ends[0], data, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size));
  ::shutdown(ends[0], SHUT_WR);
  asio::io_context io{1};
  tcp::socket socket{io};
  socket.assign(tcp::v4(), ends[1]);
  auto shared = std::make_shared<host>(options(), answer);
  auto one = std::make_shared<connection>(std::move(socket), "127.0.0.1");
  TROUPE_CHECK(shared->admit(one));
  asio::co_spawn(io, serve(shared, one), asio::detached);
  io.run();
  TROUPE_CHECK(shared->open() == 0 && shared->body_bytes == 0);
  std::string back;
  std::array<char, 4096> piece{};
  for (ssize_t n = 0; (n = ::recv(ends[0], piece.data(), piece.size(), 0)) > 0;)
    back.append(piece.data(), static_cast<std::size_t>(n));
  ::close(ends[0]);
  check_answers(back, true);
  return 0;
}
