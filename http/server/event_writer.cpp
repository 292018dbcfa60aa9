#include "common/log.hpp"
#include "http/server/connection.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <array>
#include <cstdio>

namespace troupe::http {

namespace {

// What a client may still send on a connection that streams to it; more is not a client that listens.
constexpr std::size_t chatter_bytes_max = 64 << 10;

/// Shared with the coroutine that watches the client, which may end after the stream.
struct stream_state {
  bool gone = false;
  std::shared_ptr<wakeup> bell;
};

asio::awaitable<void> watch(std::shared_ptr<connection> c, std::shared_ptr<stream_state> state) {
  std::array<char, 512> scrap{};
  for (std::size_t seen = 0; seen < chatter_bytes_max;) {
    auto [ec, n] = co_await c->socket.async_read_some(asio::buffer(scrap), await_tuple);
    if (ec)
      break;
    seen += n;
  }
  state->gone = true;
  state->bell->poke();
}

void append_line(std::string& out, std::string_view field, std::string_view value) {
  out += field;
  out += ": ";
  for (char c : value)
    if (c != '\n' && c != '\r' && c != '\0') // they would end the field (HTML standard, 9.2.6)
      out += c;
  out += '\n';
}

void append_event(std::string& out, const event& e) {
  if (!e.id.empty())
    append_line(out, "id", e.id);
  if (!e.name.empty())
    append_line(out, "event", e.name);
  std::string_view rest = e.data;
  for (;;) {
    auto end = rest.find('\n');
    append_line(out, "data", rest.substr(0, end));
    if (end == std::string_view::npos)
      break;
    rest.remove_prefix(end + 1);
  }
  out += '\n';
}

class writer final : public event_sink {
public:
  writer(host& h, connection& c, bool chunked, std::shared_ptr<stream_state> state)
    : host_(h), connection_(c), chunked_(chunked), state_(std::move(state)) {}

  bool open() const override { return !state_->gone && !host_.draining; }
  bool gone() const { return state_->gone; }
  std::shared_ptr<wakeup> bell() override { return state_->bell; }

  asio::awaitable<bool> send(event one) override {
    std::string text;
    append_event(text, one);
    co_return co_await deliver(std::move(text));
  }

  asio::awaitable<bool> send(std::vector<event> several) override {
    std::string text;
    for (const auto& e : several)
      append_event(text, e);
    co_return co_await deliver(std::move(text));
  }

  asio::awaitable<bool> wait(std::chrono::milliseconds at_most) override {
    auto until = std::chrono::steady_clock::now() + at_most;
    while (open()) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      auto beat = host_.options.heartbeat_time;
      bool rung = co_await state_->bell->wait(std::min(left, beat));
      if (rung || !open() || std::chrono::steady_clock::now() >= until)
        break;
      co_await raw(": still here\n\n");
    }
    co_return open();
  }

  asio::awaitable<bool> raw(std::string text) {
    std::array<char, 24> size{};
    auto n = std::snprintf(size.data(), size.size(), "%zx\r\n", text.size());
    auto time = host_.options.write_time;
    bool ok = false;
    if (chunked_)
      ok = co_await connection_.write(time, {size.data(), static_cast<std::size_t>(n)}, text, "\r\n");
    else
      ok = co_await connection_.write(time, text);
    if (!ok)
      state_->gone = true;
    co_return ok;
  }

private:
  asio::awaitable<bool> deliver(std::string text) {
    if (!open())
      co_return false;
    bool ok = true;
    if (!text.empty()) // not in one condition: g++ 12 mistranslates a co_await to the right of && or ||
      ok = co_await raw(std::move(text));
    co_return ok&& open();
  }

  host& host_;
  connection& connection_;
  bool chunked_;
  std::shared_ptr<stream_state> state_;
};

/// Keeps the connection's bell and the count right however the stream ends, also when its coroutine is destroyed.
class open_stream {
public:
  open_stream(host& h, connection& c, std::shared_ptr<wakeup> bell) : host_(h), connection_(c) {
    connection_.bell = std::move(bell);
    ++host_.streams_open;
  }
  ~open_stream() {
    connection_.bell->close();
    connection_.bell.reset();
    --host_.streams_open;
  }
  open_stream(const open_stream&) = delete;
  open_stream& operator=(const open_stream&) = delete;

private:
  host& host_;
  connection& connection_;
};

} // namespace

asio::awaitable<bool> write_events(host& h, connection& c, const exchange& x, std::string head, event_stream s) {
  bool ok = co_await c.write(h.options.write_time, head);
  if (!ok || x.head)
    co_return false;
  auto executor = co_await asio::this_coro::executor;
  auto state = std::make_shared<stream_state>();
  state->bell = std::make_shared<wakeup>(executor);
  open_stream guard{h, c, state->bell};
  asio::co_spawn(executor, watch(c.shared_from_this(), state), asio::detached);
  writer out{h, c, x.http_1_1, state};
  auto retry = "retry: " + std::to_string(h.options.retry_hint.count()) + "\n\n";
  ok = co_await out.raw(retry);
  if (ok) {
    try {
      co_await s.run(out);
    } catch (const std::exception& e) {
      log::error("http: the event stream of request {} ended with an exception: {}", x.request_id, e.what());
    }
  }
  if (!out.gone()) {
    if (h.draining)
      co_await out.raw(retry + ": the server is about to restart, come back\n\n");
    if (x.http_1_1)
      co_await c.write(h.options.write_time, "0\r\n\r\n");
  }
  boost::system::error_code ignored;
  c.socket.cancel(ignored); // ends the watcher
  co_return false;
}

} // namespace troupe::http
