#include "http/server/server.hpp"

#include "common/log.hpp"
#include "common/random.hpp"
#include "http/server/connection.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <future>
#include <thread>

namespace troupe::http {

namespace {

// Connections above the limit that are told so at one moment; those beyond are only closed.
constexpr int told_at_once_max = 64;

std::string endpoint_text(const tcp::endpoint& at) {
  auto host = at.address().to_string();
  return (at.address().is_v6() ? '[' + host + ']' : host) + ':' + std::to_string(at.port());
}

/// One thread with its own event loop: what belongs to a connection needs no lock.
struct loop {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::promise<void> over; // run() has returned
  std::thread thread;
};

// What a handler waits for when its connection is gone: an actor answers within 20 s, a portrait is made within 15.
constexpr auto handlers_end_within = std::chrono::seconds{30};

class beast_server final : public server {
public:
  beast_server(server_options options, request_handler answer)
    : host_(std::make_shared<host>(std::move(options), std::move(answer))) {
    for (unsigned i = 0; i < std::max(1u, host_->options.threads); ++i)
      loops_.push_back(std::make_unique<loop>());
  }

  ~beast_server() override {
    drain(std::chrono::milliseconds{0});
    // Handlers that still wait for an actor or a thread pool hold their loop open, and are awaited: their answers come
    // to the loop, which must be there.
    auto until = std::chrono::steady_clock::now() + handlers_end_within;
    for (auto& l : loops_)
      l->work.reset();
    for (auto& l : loops_) {
      if (!l->thread.joinable())
        continue;
      if (l->over.get_future().wait_until(until) != std::future_status::ready) {
        log::error("http: a request did not end within {} s of the stop and is given up", handlers_end_within.count());
        l->context.stop();
      }
      l->thread.join();
    }
    acceptor_.reset();
    host_->forget();
    loops_.clear(); // destroys the coroutines that were left; they refer to host_
  }

  result<void> listen() {
    boost::system::error_code ec;
    const auto& o = host_->options;
    auto address = asio::ip::make_address(o.address, ec);
    if (ec)
      return fail("listen", "cannot listen on " + o.address + ": it is not an IP address");
    tcp::endpoint at{address, o.port};
    acceptor_.emplace(loops_.front()->context);
    acceptor_->open(at.protocol(), ec);
    if (!ec)
      acceptor_->set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec)
      acceptor_->bind(at, ec);
    if (!ec)
      acceptor_->listen(1024, ec);
    if (ec)
      return fail("listen", "cannot listen on " + endpoint_text(at) + ": " + ec.message());
    local_ = acceptor_->local_endpoint(ec);
    return {};
  }

  void run() {
    asio::co_spawn(loops_.front()->context, accept(), asio::detached);
    for (auto& l : loops_)
      l->thread = std::thread([&each = *l] {
        each.context.run();
        each.over.set_value();
      });
  }

  std::string address() const override { return endpoint_text(local_); }
  std::uint16_t port() const override { return local_.port(); }

  server_statistics statistics() const override {
    server_statistics out;
    out.connections_open = host_->open();
    out.connections_accepted = host_->accepted;
    out.connections_refused = host_->turned_away;
    out.requests = host_->requests;
    out.streams_open = host_->streams_open;
    out.refused_by_status = host_->refusals();
    return out;
  }

  std::size_t drain(std::chrono::milliseconds at_most) override {
    std::lock_guard lock{drain_mutex_};
    host_->draining = true;
    asio::post(loops_.front()->context, [this] {
      boost::system::error_code ignored;
      acceptor_->close(ignored);
    });
    for (const auto& c : host_->connections())
      asio::post(c->socket.get_executor(), [c] { c->on_drain(); });
    if (host_->wait_until_empty(at_most))
      return 0;
    auto left = host_->connections();
    for (const auto& c : left)
      asio::post(c->socket.get_executor(), [c] { c->close(); });
    host_->wait_until_empty(std::chrono::milliseconds{500});
    return left.size();
  }

private:
  asio::awaitable<void> accept() {
    asio::steady_timer pause{loops_.front()->context};
    for (std::size_t turn = 0;; ++turn) {
      auto& l = *loops_[turn % loops_.size()];
      auto [ec, socket] = co_await acceptor_->async_accept(l.context, await_tuple);
      if (!acceptor_->is_open())
        co_return;
      if (ec) { // out of descriptors, say: it can only get better with time
        log::warn("http: cannot accept a connection: {}", ec.message());
        pause.expires_after(std::chrono::milliseconds{50});
        co_await pause.async_wait(await_tuple);
        continue;
      }
      ++host_->accepted;
      boost::system::error_code gone;
      auto remote = socket.remote_endpoint(gone);
      if (gone)
        continue;
      socket.set_option(tcp::no_delay(true), gone);
      auto c = std::make_shared<connection>(std::move(socket), remote.address().to_string());
      if (host_->admit(c))
        asio::co_spawn(c->socket.get_executor(), serve(host_, c), asio::detached);
      else
        turn_away(c);
    }
  }

  void turn_away(const std::shared_ptr<connection>& c) {
    ++host_->turned_away;
    if (told_.fetch_add(1) >= told_at_once_max) {
      --told_;
      return;
    }
    asio::co_spawn(c->socket.get_executor(), tell_full(c), [this](std::exception_ptr) { --told_; });
  }

  asio::awaitable<void> tell_full(std::shared_ptr<connection> c) {
    exchange x;
    x.request_id = make_uuid();
    x.keep_alive = false;
    host_->count_refusal(503);
    reply no{unavailable("Too many connections, try again")};
    no.headers.emplace_back("retry-after", "1");
    co_await write_reply(*host_, *c, x, std::move(no));
    co_await c->close_politely(std::chrono::milliseconds{500});
  }

  std::shared_ptr<host> host_; // before the loops: what is left in them refers to it
  std::vector<std::unique_ptr<loop>> loops_;
  std::optional<tcp::acceptor> acceptor_;
  tcp::endpoint local_;
  std::mutex drain_mutex_;
  std::atomic<int> told_{0};
};

} // namespace

result<std::unique_ptr<server>> server::start(server_options options, request_handler answer) {
  auto out = std::make_unique<beast_server>(std::move(options), std::move(answer));
  if (auto listening = out->listen(); !listening)
    return listening.error();
  out->run();
  return std::unique_ptr<server>{std::move(out)};
}

} // namespace troupe::http
