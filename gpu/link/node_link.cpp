#include "gpu/link/node_link.hpp"

#include "common/clock.hpp"
#include "common/foreign_bytes.hpp"
#include "common/log.hpp"
#include "gpu/link/wakeup.hpp"

#include <zmq.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>

namespace troupe::link {

namespace {

constexpr int receive_batch = 512;             // frames taken in before others go out,
constexpr std::size_t receive_bytes = 1 << 20; // or so much of them
// A line that takes nothing is down, or full for a moment when much was just sent.
constexpr std::int64_t dropped_ms = 50, stalled_ms = 1000;
constexpr std::size_t much = 1000;
constexpr std::int64_t settled_ms = 2000;
constexpr std::size_t unknown_said_max = 32;

class dealer_link final : public node_link {
public:
  dealer_link(const node_link_options& options, node_link_handler handler)
    : options_(options), handler_(std::move(handler)), heard_at_(steady_ms()) {}
  ~dealer_link() override;

  result<void> start();
  bool send(wire::from_node message) override;
  bool connected() const override { return state_ == state::welcomed; }
  std::int64_t heard_at() const override { return heard_at_; }

private:
  enum class state { waiting, dialling, greeted, welcomed };

  zmq::socket_t dial(const std::string& endpoint);
  // All below: on the link's thread.
  void run();
  void step();
  void connect_next();
  void greet();
  bool receive_one(std::size_t& bytes);
  void take(wire::to_node&& message);
  void drain_outbox();
  bool try_send(std::string_view frame);
  void check_times();
  void hang_up(const std::string& reason, std::int64_t wait_ms);
  void say_lost(const std::string& reason);
  int poll_ms() const;

  node_link_options options_;
  node_link_handler handler_;
  zmq::context_t context_{1};
  wakeup wakeup_;

  std::mutex mutex_;
  std::vector<std::string> outbox_;
  bool open_ = false, stopping_ = false; // open_: messages are taken

  std::atomic<state> state_{state::waiting};
  std::atomic<std::int64_t> heard_at_;
  std::optional<zmq::socket_t> socket_;
  std::vector<std::string> pending_; // taken from the outbox, the pipe being full
  std::size_t pending_at_ = 0, sent_since_writable_ = 0;
  std::size_t dialled_ = 0;
  std::int64_t dialled_at_ = 0, not_before_ = 0, beat_at_ = 0, writable_at_ = 0, refused_wait_ms_ = 0;
  wire::welcome terms_;
  std::string said_;
  std::int64_t said_at_ = 0;
  std::unordered_set<std::string> unknown_said_; // fields of the head's
  std::thread thread_;
};

dealer_link::~dealer_link() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wakeup_.ring();
  if (thread_.joinable())
    thread_.join();
  socket_.reset();
  context_.shutdown();
}

result<void> dealer_link::start() {
  if (options_.endpoints.empty())
    return fail("malformed", "no address of a head is given");
  for (const auto& endpoint : options_.endpoints) {
    try {
      dial(endpoint).close(); // finds a malformed key or endpoint now, not in a loop
    } catch (const zmq::error_t& e) {
      return fail("malformed", "cannot dial the head at " + endpoint + " with these keys: " + e.what());
    }
  }
  thread_ = std::thread([this] { run(); });
  return {};
}

// With ZMQ_IMMEDIATE nothing is queued for a line that does not stand, so that POLLOUT tells that it does, and the
// hello is as fresh as can be.
zmq::socket_t dealer_link::dial(const std::string& endpoint) {
  zmq::socket_t socket(context_, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::immediate, true);
  socket.set(zmq::sockopt::linger, 200);
  socket.set(zmq::sockopt::sndhwm, 10'000);
  socket.set(zmq::sockopt::rcvhwm, 10'000);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(4 * wire::frame_bytes_max));
  socket.set(zmq::sockopt::reconnect_ivl, static_cast<int>(options_.redial_ms));
  socket.set(zmq::sockopt::reconnect_ivl_max, static_cast<int>(options_.redial_max_ms));
  socket.set(zmq::sockopt::connect_timeout, 5000);
  socket.set(zmq::sockopt::heartbeat_ivl, 1000);
  socket.set(zmq::sockopt::heartbeat_timeout, 4000);
  socket.set(zmq::sockopt::ipv6, endpoint.find('[') != std::string::npos);
  socket.set(zmq::sockopt::curve_serverkey, options_.head_public_key);
  socket.set(zmq::sockopt::curve_publickey, options_.keys.public_key);
  socket.set(zmq::sockopt::curve_secretkey, options_.keys.secret_key);
  socket.connect(endpoint);
  return socket;
}

bool dealer_link::send(wire::from_node message) {
  auto frame = wire::encode(message);
  bool first = false;
  {
    std::lock_guard guard(mutex_);
    if (!open_ || outbox_.size() >= options_.outbox_max)
      return false;
    first = outbox_.empty();
    outbox_.push_back(std::move(frame));
  }
  if (first)
    wakeup_.ring();
  return true;
}

void dealer_link::run() {
  for (bool last_round = false; !last_round;) {
    {
      std::lock_guard guard(mutex_);
      last_round = stopping_;
    }
    try {
      if (last_round)
        drain_outbox();
      else
        step();
    } catch (const std::exception& e) {
      log::error("the line to the head met an error: {}", e.what());
      hang_up("an error on the line", 1000);
    }
  }
}

void dealer_link::step() {
  if (!socket_ && steady_ms() >= not_before_)
    connect_next();
  short wanted = ZMQ_POLLIN;
  if (state_ == state::dialling || pending_at_ < pending_.size())
    wanted |= ZMQ_POLLOUT;
  zmq::pollitem_t items[] = {{nullptr, wakeup_.fd(), ZMQ_POLLIN, 0},
                             {socket_ ? socket_->handle() : nullptr, 0, wanted, 0}};
  zmq::poll(items, socket_ ? 2 : 1, std::chrono::milliseconds(poll_ms()));
  if (items[0].revents != 0)
    wakeup_.clear();
  if (socket_ && state_ == state::dialling && (items[1].revents & ZMQ_POLLOUT) != 0)
    greet();
  int received = 0;
  for (std::size_t bytes = 0; received < receive_batch && bytes < receive_bytes && socket_ && receive_one(bytes);)
    ++received;
  if (received > 0)
    heard_at_ = steady_ms(); // taking them in may have taken long
  drain_outbox();
  check_times();
}

int dealer_link::poll_ms() const {
  if (!socket_)
    return static_cast<int>(std::clamp<std::int64_t>(not_before_ - steady_ms(), 1, 1000));
  return static_cast<int>(std::clamp<std::int64_t>(terms_.heartbeat_ms / 4, 5, 100));
}

void dealer_link::connect_next() {
  const auto& endpoint = options_.endpoints[dialled_++ % options_.endpoints.size()];
  socket_.emplace(dial(endpoint));
  dialled_at_ = writable_at_ = steady_ms();
  state_ = state::dialling;
}

// The outbox opens before the hello is made: what happens after it was made goes into a message of its own.
void dealer_link::greet() {
  {
    std::lock_guard guard(mutex_);
    open_ = true;
    outbox_.clear();
  }
  auto frame = wire::encode(wire::from_node{handler_.say_hello()});
  beat_at_ = dialled_at_ = writable_at_ = steady_ms();
  if (!try_send(frame))
    return hang_up("the line dropped", 0);
  state_ = state::greeted;
}

bool dealer_link::receive_one(std::size_t& bytes) {
  zmq::message_t body, extra;
  if (!socket_->recv(body, zmq::recv_flags::dontwait))
    return false;
  bytes += body.size();
  bool single = !body.more();
  for (bool more = body.more(); more; more = extra.more())
    (void)socket_->recv(extra);
  std::vector<std::string> unknown;
  auto message = wire::decode_to_node(foreign_bytes({body.data<char>(), body.size()}).view(), &unknown);
  if (!single || !message) {
    if (single && message.error().code == "unknown_message") {
      log::warn("the head said something that this node does not know: {}", message.error().message);
      return true;
    }
    hang_up("the head sent a malformed frame: " +
                (single ? message.error().message : std::string{"a message of more than one part"}),
            1000);
    return false;
  }
  heard_at_ = steady_ms();
  for (const auto& field : unknown)
    if (unknown_said_.size() < unknown_said_max && unknown_said_.insert(field).second)
      log::warn("the head says the field \"{}\", which this node does not know; it is ignored", field);
  take(std::move(*message));
  return socket_.has_value();
}

void dealer_link::take(wire::to_node&& message) {
  if (auto* no = std::get_if<wire::refused>(&message)) {
    // A node that was long welcome dials at once: most likely the head, or the line, is a new one.
    bool settled = state_ == state::welcomed && steady_ms() - dialled_at_ > settled_ms;
    refused_wait_ms_ = settled ? 0 : std::clamp<std::int64_t>(refused_wait_ms_ * 2, 250, options_.refused_max_ms);
    hang_up("refused: " + no->reason, refused_wait_ms_);
  } else if (auto* yes = std::get_if<wire::welcome>(&message)) {
    if (!wire::common_version(wire::spoken_versions, {yes->version, yes->version}))
      return hang_up("the head wants version " + std::to_string(yes->version) +
                         " of the node protocol, this node speaks " + wire::to_string(wire::spoken_versions),
                     options_.refused_max_ms);
    terms_ = *yes;
    bool first = state_ != state::welcomed;
    state_ = state::welcomed;
    if (first && handler_.on_connected)
      handler_.on_connected(terms_);
  } else if (!std::holds_alternative<wire::head_heartbeat>(message) && handler_.on_message) {
    handler_.on_message(std::move(message));
  }
}

void dealer_link::drain_outbox() {
  if (!socket_ || state_ == state::dialling)
    return;
  if (pending_at_ == pending_.size()) {
    pending_.clear();
    pending_at_ = 0;
    std::lock_guard guard(mutex_);
    pending_.swap(outbox_);
  }
  while (pending_at_ < pending_.size() && try_send(pending_[pending_at_]))
    ++pending_at_;
}

bool dealer_link::try_send(std::string_view frame) {
  if (zmq_send(socket_->handle(), frame.data(), frame.size(), ZMQ_DONTWAIT) < 0)
    return false;
  ++sent_since_writable_;
  return true;
}

void dealer_link::check_times() {
  if (!socket_)
    return;
  auto now = steady_ms();
  bool welcomed = state_ == state::welcomed;
  if (welcomed && now - heard_at_ > static_cast<std::int64_t>(terms_.heartbeat_ms) * options_.missed_heartbeats)
    return hang_up("the head is silent", 0);
  if (state_ == state::greeted && now - dialled_at_ > options_.answer_ms)
    return hang_up("the head does not answer", 0);
  // libzmq goes on trying to reach a head by itself, but not one that denied the key; it may have been allowed since.
  if (state_ == state::dialling && now - dialled_at_ > options_.answer_ms)
    return hang_up("the head cannot be reached, or does not know this node's key", 0);
  if (state_ == state::dialling)
    return;
  if ((socket_->get(zmq::sockopt::events) & ZMQ_POLLOUT) != 0) {
    writable_at_ = now;
    sent_since_writable_ = 0;
  } else if (now - writable_at_ > (sent_since_writable_ > much ? stalled_ms : dropped_ms)) {
    return hang_up("the line dropped", 0);
  }
  if (now - beat_at_ >= terms_.heartbeat_ms) {
    beat_at_ = now;
    send(wire::node_heartbeat{now_ms()});
  }
}

void dealer_link::hang_up(const std::string& reason, std::int64_t wait_ms) {
  bool welcomed = state_ == state::welcomed;
  {
    std::lock_guard guard(mutex_);
    open_ = false;
    outbox_.clear();
  }
  pending_.clear();
  pending_at_ = sent_since_writable_ = 0;
  if (socket_)
    socket_->set(zmq::sockopt::linger, 0);
  socket_.reset();
  state_ = state::waiting;
  not_before_ = steady_ms() + wait_ms;
  say_lost(reason);
  if (welcomed && handler_.on_lost)
    handler_.on_lost(reason);
}

// A head that stays away is worth a line a minute, not one each attempt.
void dealer_link::say_lost(const std::string& reason) {
  if (reason == said_ && steady_ms() - said_at_ < 60'000)
    return;
  said_ = reason;
  said_at_ = steady_ms();
  log::warn("no connection to the head: {}; dialling on", reason);
}

} // namespace

result<std::unique_ptr<node_link>> node_link::open(const node_link_options& options, node_link_handler handler) {
  try {
    auto made = std::make_unique<dealer_link>(options, std::move(handler));
    if (auto started = made->start(); !started)
      return started.error();
    return std::unique_ptr<node_link>(std::move(made));
  } catch (const std::exception& e) {
    return fail("link", std::string("cannot open the line to the head: ") + e.what());
  }
}

} // namespace troupe::link
