// The only file that includes Beast: it parses requests. Its templates cost ten seconds a translation unit.

#include "http/server/connection.hpp"

#include "common/log.hpp"
#include "common/random.hpp"
#include "common/text.hpp"
#include "http/url.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>

namespace troupe::http {

namespace {

namespace beast = boost::beast;
using parser = beast::http::request_parser<beast::http::string_body>;
using error = beast::http::error;

constexpr std::size_t buffer_bytes_max = 64 << 10;
constexpr std::size_t small_body_bytes = 16 << 10; // not worth counting against the bodies of all connections

std::string_view view(beast::string_view s) { return {s.data(), s.size()}; }

/// A refusal by the server itself, before any handler.
struct refusal {
  problem why;
  bool rest_unread = false; ///< the request was not read to its end, so the connection has to close
};

refusal refuse(int status, std::string code, std::string message, bool rest_unread) {
  return {{status, std::move(code), std::move(message), json::object(), {}}, rest_unread};
}

/// A share of what all bodies may take, given back at the end.
class body_share {
public:
  body_share(host& h, std::uint64_t bytes) : host_(h), bytes_(bytes > small_body_bytes ? bytes : 0) {
    granted_ = host_.body_bytes.fetch_add(bytes_) + bytes_ <= host_.options.bodies_bytes_max;
  }
  ~body_share() { host_.body_bytes.fetch_sub(bytes_); }
  body_share(const body_share&) = delete;
  body_share& operator=(const body_share&) = delete;
  bool granted() const { return granted_; }

private:
  host& host_;
  std::uint64_t bytes_;
  bool granted_ = false;
};

class session {
public:
  session(host& h, connection& c) : host_(h), connection_(c), buffer_(buffer_bytes_max) {}

  asio::awaitable<void> run() {
    for (bool first = true; !host_.draining; first = false) {
      bool more = co_await wait_for_bytes(first);
      if (!more)
        break;
      bool keep = co_await one_request();
      if (!keep)
        break;
    }
  }

private:
  // A drain does not wait for clients that read their answer and then do not close.
  std::chrono::milliseconds linger() const {
    return host_.draining ? std::min(host_.options.linger_time, std::chrono::milliseconds{100})
                          : host_.options.linger_time;
  }

  // Between two requests nothing but the next one's first byte is waited for, and a drain may end the wait.
  asio::awaitable<bool> wait_for_bytes(bool first) {
    if (buffer_.size() > 0)
      co_return true;
    connection_.idle = true;
    connection_.within(first ? host_.options.header_time : host_.options.idle_time);
    auto [ec, n] = co_await connection_.socket.async_read_some(buffer_.prepare(4096), await_tuple);
    connection_.idle = false;
    buffer_.commit(n);
    co_return !ec;
  }

  asio::awaitable<bool> one_request() {
    parser p;
    p.header_limit(static_cast<std::uint32_t>(host_.options.header_bytes_max));
    p.body_limit(boost::none);
    connection_.within(host_.options.header_time);
    auto [ec, n] = co_await beast::http::async_read_header(connection_.socket, buffer_, p, await_tuple);
    connection_.no_deadline();
    begin(p);
    if (ec)
      co_return co_await broken(ec, p);
    ++host_.requests;
    fill(p);
    auto no = check_head(p);
    if (!no) {
      no = co_await read_body(p);
    } else if (!no->rest_unread) {
      bool discarded = co_await discard_body(p);
      no->rest_unread = !discarded;
    }
    if (!no)
      no = check_content();
    if (no)
      co_return co_await send_refusal(std::move(*no));
    auto x = exchange_;
    auto answer = co_await ask();
    bool keep = co_await write_reply(host_, connection_, std::move(x), std::move(answer));
    if (!keep)
      co_await connection_.close_politely(linger());
    co_return keep;
  }

  // As much as is known, also of a request that cannot be parsed: the error is told in its family's words.
  void begin(const parser& p) {
    const auto& message = p.get();
    request_ = {};
    request_.target = std::string{view(message.target())};
    request_.raw_path = request_.target.substr(0, request_.target.find('?'));
    for (const auto& field : message)
      request_.headers.emplace_back(lower(view(field.name_string())), std::string{view(field.value())});
    request_.family = family_of(request_.raw_path, request_.header("authorization"));
    auto wanted = request_.header("x-request-id");
    request_.request_id = is_uuid(wanted) ? std::string{wanted} : make_uuid();
    exchange_ = {};
    exchange_.family = request_.family;
    exchange_.request_id = request_.request_id;
  }

  void fill(const parser& p) {
    const auto& message = p.get();
    exchange_.http_1_1 = message.version() >= 11;
    exchange_.keep_alive = message.keep_alive();
    exchange_.head = message.method() == beast::http::verb::head;
    exchange_.range = request_.header("range");
    exchange_.if_range = request_.header("if-range");
    exchange_.if_none_match = request_.header("if-none-match");
    request_.method = exchange_.head ? verb::get : verb_from(view(message.method_string()));
    request_.remote_address = connection_.remote_address;
    if (!host_.options.trusted_proxies.empty())
      take_forwarded();
  }

  void take_forwarded() {
    const auto& trusted = host_.options.trusted_proxies;
    boost::system::error_code ec;
    auto peer = asio::ip::make_address(connection_.remote_address, ec);
    if (ec || !trusted.contains(peer))
      return;
    std::string list; // several lines are one list
    for (const auto& [name, value] : request_.headers)
      if (name == "x-forwarded-for")
        list += (list.empty() ? "" : ",") + value;
    request_.remote_address = client_behind(trusted, peer, list).to_string();
    request_.secure = request_.header("x-forwarded-proto") == "https";
  }

  // The stream ended or is not HTTP. Nobody is answered who left or never said anything.
  asio::awaitable<bool> broken(beast::error_code ec, const parser& p) {
    std::optional<refusal> no;
    if (ec == error::header_limit || ec == error::buffer_overflow)
      no = p.get().target().empty()
               ? refuse(414, "uri_too_long",
                        "The request line is longer than " + std::to_string(host_.options.header_bytes_max) + " bytes",
                        true)
               : refuse(431, "headers_too_large",
                        "The headers are larger than " + std::to_string(host_.options.header_bytes_max) + " bytes",
                        true);
    else if (connection_.expired())
      no = refuse(408, "request_timeout", "The request did not arrive in time", true);
    else if (ec.category() == make_error_code(error::bad_target).category() && ec != error::end_of_stream &&
             ec != error::partial_message)
      no = refuse(400, "malformed_request", "The request is not valid HTTP/1.1: " + ec.message(), true);
    if (no)
      co_await send_refusal(std::move(*no));
    co_return false;
  }

  std::uint64_t body_limit() const {
    auto own = host_.options.body_limit_of ? host_.options.body_limit_of(request_) : 0;
    if (own > 0)
      return own;
    auto type = lower(request_.header("content-type"));
    bool is_json = type.empty() || type.find("json") != std::string::npos;
    return is_json ? host_.options.json_bytes_max : host_.options.body_bytes_max;
  }

  std::optional<refusal> check_head(const parser& p) {
    if (request_.target.size() > host_.options.target_bytes_max)
      return refuse(414, "uri_too_long",
                    "The request target is longer than " + std::to_string(host_.options.target_bytes_max) + " bytes",
                    false);
    auto hosts = std::count_if(request_.headers.begin(), request_.headers.end(),
                               [](const auto& h) { return h.first == "host"; });
    if (hosts > 1 || (hosts == 0 && exchange_.http_1_1))
      return refuse(400, "malformed_request", "The request needs exactly one Host header", true);
    // Anything but plain "chunked" leaves it open where the body ends, which is how requests are smuggled.
    if (auto coding = request_.header("transfer-encoding"); !coding.empty()) {
      if (!exchange_.http_1_1 || p.content_length())
        return refuse(400, "malformed_request", "Transfer-Encoding does not fit the request", true);
      if (lower(coding) != "chunked")
        return refuse(501, "not_implemented", "Only the transfer encoding chunked is served", true);
    }
    auto expect = request_.header("expect");
    if (!expect.empty() && lower(expect) != "100-continue")
      return refuse(417, "expectation_failed", "Only the expectation 100-continue is met", true);
    limit_ = body_limit();
    if (p.content_length() && *p.content_length() > limit_) {
      bool small = *p.content_length() - limit_ <= host_.options.discard_bytes_max && expect.empty();
      return refuse(413, "body_too_large", "The body is larger than " + std::to_string(limit_) + " bytes", !small);
    }
    return std::nullopt;
  }

  std::chrono::milliseconds body_time(std::uint64_t bytes) const {
    return host_.options.body_time +
           std::chrono::milliseconds(bytes * 1000 / std::max<std::uint64_t>(host_.options.body_rate_min, 1));
  }

  asio::awaitable<std::optional<refusal>> read_body(parser& p) {
    if (p.is_done())
      co_return std::nullopt;
    auto expected = p.content_length() ? *p.content_length() : limit_;
    body_share share{host_, expected};
    if (!share.granted())
      co_return refuse(503, "unavailable", "Too many large bodies are being received, try again", true);
    if (!request_.header("expect").empty() && exchange_.http_1_1 && buffer_.size() == 0)
      if (!co_await connection_.write(host_.options.write_time, "HTTP/1.1 100 Continue\r\n\r\n"))
        co_return gone();
    p.body_limit(limit_);
    connection_.within(body_time(expected));
    auto [ec, n] = co_await beast::http::async_read(connection_.socket, buffer_, p, await_tuple);
    connection_.no_deadline();
    if (!ec) {
      request_.body = std::move(p.get().body());
      co_return std::nullopt;
    }
    if (ec == error::body_limit)
      co_return refuse(413, "body_too_large", "The body is larger than " + std::to_string(limit_) + " bytes", true);
    if (connection_.expired())
      co_return refuse(408, "request_timeout", "The body did not arrive in time", true);
    if (ec == error::partial_message || ec.category() != make_error_code(error::bad_target).category())
      co_return gone();
    co_return refuse(400, "malformed_request", "The body is not valid: " + ec.message(), true);
  }

  static refusal gone() { return {{0, {}, {}, json::object(), {}}, true}; }

  // Reads past a body that is refused but small, so that the connection stays usable.
  asio::awaitable<bool> discard_body(parser& p) {
    if (p.is_done())
      co_return true;
    if (!p.content_length() || !request_.header("expect").empty())
      co_return false;
    auto left = *p.content_length();
    if (left > limit_ + host_.options.discard_bytes_max)
      co_return false;
    connection_.within(body_time(left));
    while (left > 0) {
      if (buffer_.size() == 0) {
        auto [ec, n] = co_await connection_.socket.async_read_some(buffer_.prepare(16 << 10), await_tuple);
        buffer_.commit(n);
        if (ec)
          co_return false;
      }
      auto n = std::min<std::uint64_t>(left, buffer_.size());
      buffer_.consume(static_cast<std::size_t>(n));
      left -= n;
    }
    connection_.no_deadline();
    co_return true;
  }

  std::optional<refusal> check_content() {
    auto& target = request_.target;
    if (target.starts_with("http://") || target.starts_with("https://")) { // absolute form (RFC 9112, 3.2.2)
      auto path = target.find('/', target.find("://") + 3);
      target = path == std::string::npos ? "/" : target.substr(path);
    }
    if (target == "*" && request_.method == verb::options)
      target = "/";
    if (!target.starts_with('/'))
      return refuse(400, "malformed_request", "The request target must be a path", false);
    target.resize(std::min(target.find('#'), target.size()));
    request_.raw_path = target.substr(0, target.find('?'));
    request_.family = exchange_.family = family_of(request_.raw_path, request_.header("authorization"));
    auto query = parse_query(std::string_view{target}.substr(std::min(request_.raw_path.size() + 1, target.size())));
    if (!query)
      return refuse(400, "invalid_request", query.error().message, false);
    request_.query = std::move(*query);
    return std::nullopt;
  }

  asio::awaitable<bool> send_refusal(refusal no) {
    if (no.why.status == 0) // the client left
      co_return false;
    host_.count_refusal(no.why.status);
    if (no.rest_unread)
      exchange_.keep_alive = false;
    reply answer{std::move(no.why)};
    bool keep = co_await write_reply(host_, connection_, exchange_, std::move(answer));
    if (!keep)
      co_await connection_.close_politely(linger());
    co_return keep;
  }

  asio::awaitable<reply> ask() {
    auto id = request_.request_id;
    auto path = request_.raw_path;
    try {
      co_return co_await host_.answer(std::move(request_));
    } catch (const std::exception& e) {
      log::error("http: request {} to {} ended with an exception: {}", id, path, e.what());
    }
    co_return reply{problem{500, "internal", "Internal server error", json::object(), {}}};
  }

  host& host_;
  connection& connection_;
  beast::flat_buffer buffer_;
  request request_;
  exchange exchange_;
  std::uint64_t limit_ = 0;
};

} // namespace

asio::awaitable<void> serve(std::shared_ptr<host> h, std::shared_ptr<connection> c) {
  try {
    session s{*h, *c};
    co_await s.run();
  } catch (const std::exception& e) { // out of memory, say: this connection ends, the others go on
    log::error("http: a connection from {} ended with an exception: {}", c->remote_address, e.what());
  }
  c->close();
  h->leave(c);
}

} // namespace troupe::http
