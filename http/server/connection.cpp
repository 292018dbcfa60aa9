#include "http/server/connection.hpp"

#include "common/networks.hpp"

#include <boost/asio/write.hpp>

#include <array>

namespace troupe::http {

namespace {

constexpr std::size_t linger_bytes_max = 16 << 20;

} // namespace

bool host::admit(const std::shared_ptr<connection>& c) {
  std::lock_guard lock{mutex_};
  auto& count = by_address_[c->address_group];
  bool full = open_.size() >= options.connections_max || count >= options.connections_per_address_max;
  if (full) {
    if (count == 0)
      by_address_.erase(c->address_group);
    return false;
  }
  ++count;
  open_.insert(c);
  return true;
}

void host::leave(const std::shared_ptr<connection>& c) {
  std::lock_guard lock{mutex_};
  if (open_.erase(c) == 0)
    return;
  if (auto found = by_address_.find(c->address_group); found != by_address_.end() && --found->second == 0)
    by_address_.erase(found);
  if (open_.empty())
    left_.notify_all();
}

void host::forget() {
  std::lock_guard lock{mutex_};
  open_.clear();
  by_address_.clear();
}

void host::count_refusal(int status) {
  std::lock_guard lock{mutex_};
  ++refusals_[status];
}

std::map<int, std::uint64_t> host::refusals() const {
  std::lock_guard lock{mutex_};
  return refusals_;
}

std::vector<std::shared_ptr<connection>> host::connections() const {
  std::lock_guard lock{mutex_};
  return {open_.begin(), open_.end()};
}

std::size_t host::open() const {
  std::lock_guard lock{mutex_};
  return open_.size();
}

bool host::wait_until_empty(std::chrono::milliseconds at_most) {
  std::unique_lock lock{mutex_};
  return left_.wait_for(lock, at_most, [this] { return open_.empty(); });
}

connection::connection(tcp::socket s, std::string address)
  : socket(std::move(s)), remote_address(std::move(address)), address_group(troupe::address_group(remote_address)),
    timer_(socket.get_executor()) {}

void connection::within(std::chrono::milliseconds time) {
  expired_ = false;
  deadline_ = clock::now() + time;
  if (armed_ && wakes_at_ <= *deadline_)
    return; // the timer that runs looks at the deadline when it fires
  arm();
}

void connection::no_deadline() { deadline_.reset(); }

void connection::arm() {
  wakes_at_ = *deadline_;
  armed_ = true;
  timer_.expires_at(wakes_at_);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
    if (auto self = weak.lock(); self && !ec)
      self->on_timer();
  });
}

void connection::on_timer() {
  armed_ = false;
  if (!deadline_)
    return;
  if (clock::now() < *deadline_)
    return arm();
  expired_ = true;
  boost::system::error_code ignored;
  socket.cancel(ignored);
}

asio::awaitable<bool> connection::write(std::chrono::milliseconds time, std::string_view a, std::string_view b,
                                        std::string_view c) {
  std::array<asio::const_buffer, 3> buffers{asio::buffer(a.data(), a.size()), asio::buffer(b.data(), b.size()),
                                            asio::buffer(c.data(), c.size())};
  within(time);
  auto [ec, n] = co_await asio::async_write(socket, buffers, await_tuple);
  no_deadline();
  co_return !ec;
}

asio::awaitable<void> connection::close_politely(std::chrono::milliseconds time) {
  boost::system::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  std::vector<char> scrap(16 << 10);
  within(time);
  for (std::size_t seen = 0; seen < linger_bytes_max;) {
    auto [ec, n] = co_await socket.async_read_some(asio::buffer(scrap), await_tuple);
    if (ec)
      break;
    seen += n;
  }
  close();
}

void connection::close() {
  no_deadline();
  timer_.cancel();
  armed_ = false;
  boost::system::error_code ignored;
  socket.close(ignored);
}

void connection::on_drain() {
  if (bell)
    bell->poke();
  boost::system::error_code ignored;
  if (idle)
    socket.cancel(ignored);
}

} // namespace troupe::http
