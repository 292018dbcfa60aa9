#include "http/server/byte_range.hpp"
#include "http/server/connection.hpp"

#include "common/log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace troupe::http {

namespace {

std::string_view reason(int status) {
  static const std::map<int, std::string_view> names{{200, "OK"},
                                                     {201, "Created"},
                                                     {202, "Accepted"},
                                                     {204, "No Content"},
                                                     {206, "Partial Content"},
                                                     {301, "Moved Permanently"},
                                                     {302, "Found"},
                                                     {303, "See Other"},
                                                     {304, "Not Modified"},
                                                     {307, "Temporary Redirect"},
                                                     {308, "Permanent Redirect"},
                                                     {400, "Bad Request"},
                                                     {401, "Unauthorized"},
                                                     {402, "Payment Required"},
                                                     {403, "Forbidden"},
                                                     {404, "Not Found"},
                                                     {405, "Method Not Allowed"},
                                                     {408, "Request Timeout"},
                                                     {409, "Conflict"},
                                                     {410, "Gone"},
                                                     {413, "Content Too Large"},
                                                     {414, "URI Too Long"},
                                                     {415, "Unsupported Media Type"},
                                                     {416, "Range Not Satisfiable"},
                                                     {417, "Expectation Failed"},
                                                     {422, "Unprocessable Content"},
                                                     {429, "Too Many Requests"},
                                                     {431, "Request Header Fields Too Large"},
                                                     {500, "Internal Server Error"},
                                                     {501, "Not Implemented"},
                                                     {502, "Bad Gateway"},
                                                     {503, "Service Unavailable"},
                                                     {504, "Gateway Timeout"}};
  auto found = names.find(status);
  return found == names.end() ? std::string_view{"Status"} : found->second;
}

std::string http_date() {
  auto now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 40> text{};
  auto n = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text.data(), n};
}

// A line break in a value would let whoever chose it write headers of their own.
void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  for (char c : value)
    out += static_cast<unsigned char>(c) < 0x20 && c != '\t' ? ' ' : c;
  out += "\r\n";
}

bool has(const header_list& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(), [&](const auto& h) { return h.first == name; });
}

void set_default(header_list& headers, std::string_view name, std::string value) {
  if (!has(headers, name))
    headers.emplace_back(name, std::move(value));
}

class file_descriptor {
public:
  explicit file_descriptor(const std::filesystem::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~file_descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  file_descriptor(const file_descriptor&) = delete;
  file_descriptor& operator=(const file_descriptor&) = delete;
  /// The size of a regular file; nullopt for anything else.
  std::optional<std::uint64_t> size() const {
    struct stat about {};
    if (fd_ < 0 || ::fstat(fd_, &about) != 0 || !S_ISREG(about.st_mode))
      return std::nullopt;
    return static_cast<std::uint64_t>(about.st_size);
  }
  std::size_t read(char* to, std::size_t n, std::uint64_t at) const {
    auto got = ::pread(fd_, to, n, static_cast<off_t>(at));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

private:
  int fd_;
};

// Quotes and controls would end the parameter; the rest of Unicode goes in the extended form (RFC 6266).
std::string disposition(const std::string& name) {
  std::string plain;
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string extended;
  for (char c : name) {
    auto byte = static_cast<unsigned char>(c);
    bool token =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
    plain += token || c == ' ' ? c : '_';
    if (token)
      extended += c;
    else
      (((extended += '%') += digits[byte >> 4]) += digits[byte & 15]);
  }
  return "attachment; filename=\"" + plain + "\"; filename*=UTF-8''" + extended;
}

asio::awaitable<bool> send_file(host& h, connection& c, const file_descriptor& file, file_plan plan) {
  std::vector<char> chunk(static_cast<std::size_t>(std::min<std::uint64_t>(h.options.file_chunk_bytes, plan.length)));
  while (plan.length > 0) {
    auto n = file.read(chunk.data(), static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), plan.length)),
                       plan.offset);
    if (n == 0) // it shrank: the promised length can only be broken by cutting the connection
      co_return false;
    if (!co_await c.write(h.options.write_time, {chunk.data(), n}))
      co_return false;
    plan.offset += n;
    plan.length -= n;
  }
  co_return true;
}

asio::awaitable<bool> write_bytes(host& h, connection& c, const exchange& x, int status, header_list headers,
                                  std::string body) {
  bool bodiless = status == 204 || status == 304;
  auto head = response_head(x, status, headers, bodiless ? std::nullopt : std::optional<std::uint64_t>{body.size()});
  if (x.head || bodiless)
    body.clear();
  // The first piece goes with the head in one packet; a large body gets the time of a piece for each.
  auto first = std::min(body.size(), h.options.file_chunk_bytes);
  if (!co_await c.write(h.options.write_time, head, {body.data(), first}))
    co_return false;
  for (auto at = first; at < body.size();) {
    auto n = std::min(body.size() - at, h.options.file_chunk_bytes);
    if (!co_await c.write(h.options.write_time, {body.data() + at, n}))
      co_return false;
    at += n;
  }
  co_return x.keep_alive;
}

asio::awaitable<bool> write_problem(host& h, connection& c, const exchange& x, header_list headers,
                                    const problem& why) {
  set_default(headers, "cache-control", "no-store");
  set_default(headers, "content-type", "application/json");
  if (why.status == 503) // a disk that is full, a queue, an actor that comes back: it passes
    set_default(headers, "retry-after", "1");
  auto body = render(why, x.family).dump(-1, ' ', false, json::error_handler_t::replace);
  return write_bytes(h, c, x, why.status, std::move(headers), std::move(body));
}

asio::awaitable<bool> write_file(host& h, connection& c, const exchange& x, header_list headers, file_body wanted) {
  file_descriptor file{wanted.path};
  auto size = file.size();
  if (!size) {
    log::warn("http: {} is to be sent but cannot be opened as a file", wanted.path.string());
    co_return co_await write_problem(h, c, x, {}, not_found("The file is no longer there"));
  }
  // Range is defined for GET alone (RFC 9110, 14.2).
  auto plan = plan_file(*size, wanted.etag, x.head ? std::string_view{} : std::string_view{x.range}, x.if_range,
                        x.if_none_match);
  set_default(headers, "accept-ranges", "bytes");
  set_default(headers, "cache-control", "private, no-cache");
  if (!wanted.etag.empty())
    headers.emplace_back("etag", '"' + wanted.etag + '"');
  if (plan.status == 416) {
    headers.emplace_back("content-range", "bytes */" + std::to_string(*size));
    problem why{416, "range_not_satisfiable", "The range lies outside the file", json::object(), {}};
    co_return co_await write_problem(h, c, x, std::move(headers), why);
  }
  if (plan.status == 304)
    co_return co_await write_bytes(h, c, x, 304, std::move(headers), {});
  set_default(headers, "content-type", wanted.content_type);
  if (!wanted.download_name.empty())
    headers.emplace_back("content-disposition", disposition(wanted.download_name));
  if (plan.status == 206)
    headers.emplace_back("content-range", "bytes " + std::to_string(plan.offset) + '-' +
                                              std::to_string(plan.offset + plan.length - 1) + '/' +
                                              std::to_string(*size));
  auto head = response_head(x, plan.status, headers, plan.length);
  if (!co_await c.write(h.options.write_time, head))
    co_return false;
  bool sent = true;
  if (!x.head)
    sent = co_await send_file(h, c, file, plan);
  co_return sent&& x.keep_alive;
}

} // namespace

std::string response_head(const exchange& x, int status, const header_list& headers,
                          std::optional<std::uint64_t> length) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + ' ';
  out += reason(status);
  out += "\r\n";
  append_header(out, "date", http_date());
  append_header(out, "x-request-id", x.request_id);
  append_header(out, "x-content-type-options", "nosniff");
  if (length)
    append_header(out, "content-length", std::to_string(*length));
  if (!x.keep_alive)
    append_header(out, "connection", "close");
  else if (!x.http_1_1)
    append_header(out, "connection", "keep-alive");
  for (const auto& [name, value] : headers)
    append_header(out, name, value);
  out += "\r\n";
  return out;
}

asio::awaitable<bool> write_reply(host& h, connection& c, exchange x, reply r) {
  if (h.draining)
    x.keep_alive = false;
  if (auto* why = std::get_if<problem>(&r.body))
    co_return co_await write_problem(h, c, x, std::move(r.headers), *why);
  if (auto* file = std::get_if<file_body>(&r.body))
    co_return co_await write_file(h, c, x, std::move(r.headers), std::move(*file));
  if (auto* stream = std::get_if<event_stream>(&r.body)) {
    x.keep_alive = false; // the read that watches for the client's leave would eat the next request
    r.headers.emplace_back("content-type", "text/event-stream");
    r.headers.emplace_back("cache-control", "no-store");
    r.headers.emplace_back("x-accel-buffering", "no"); // a proxy must not hold events back
    if (x.http_1_1)
      r.headers.emplace_back("transfer-encoding", "chunked");
    co_return co_await write_events(h, c, x, response_head(x, r.status, r.headers, std::nullopt), std::move(*stream));
  }
  std::string body;
  if (auto* value = std::get_if<json>(&r.body)) {
    set_default(r.headers, "content-type", "application/json");
    set_default(r.headers, "cache-control", "no-store");
    body = value->dump(-1, ' ', false, json::error_handler_t::replace);
  } else if (auto* bytes = std::get_if<bytes_body>(&r.body)) {
    set_default(r.headers, "content-type", std::move(bytes->content_type));
    body = std::move(bytes->bytes);
  }
  co_return co_await write_bytes(h, c, x, r.status, std::move(r.headers), std::move(body));
}

} // namespace troupe::http
