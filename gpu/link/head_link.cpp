#include "gpu/link/head_link.hpp"

#include "common/clock.hpp"
#include "common/foreign_bytes.hpp"
#include "common/log.hpp"
#include "gpu/link/admission.hpp"
#include "gpu/link/head_transfers.hpp"
#include "gpu/link/peer_table.hpp"
#include "gpu/link/wakeup.hpp"
#include "gpu/link/zap.hpp"

#include <zmq.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

namespace troupe::link {

namespace {

constexpr int receive_batch = 512;             // frames taken in before answers go out,
constexpr std::size_t receive_bytes = 1 << 20; // or so much of them
constexpr std::int64_t sweep_ms = 500;
constexpr std::int64_t life_ms = 250;          // between heartbeats that stand for transfers
constexpr std::size_t unknown_fields_max = 32; // told of one connection

template <class Message>
constexpr bool is_transfer = std::is_same_v<Message, wire::fetch> || std::is_same_v<Message, wire::put> ||
                             std::is_same_v<Message, wire::put_chunk>;

enum class sent { yes, full, gone };

class router_link final : public head_link {
public:
  router_link(const head_link_options& options, storage::blob_store& blobs, head_link_handler handler)
    : options_(options), handler_(std::move(handler)), admission_(options.admission), zap_(context_, handler_.allowed),
      socket_(context_, zmq::socket_type::router), blobs_(blobs) {}
  ~router_link() override;

  result<void> listen();
  void start();
  bool send(const std::string& connection, wire::to_node message) override;
  void close(const std::string& connection, const std::string& reason) override;
  void handled(const std::string& public_key, std::size_t bytes) override { admission_.handled(public_key, bytes); }
  std::vector<std::string> endpoints() const override { return bound_; }
  link_counters counters() const override;

private:
  struct outgoing {
    std::string connection;
    link::frame frame;
    bool last = false;
  };

  void enqueue(outgoing what);
  // All below: on the socket's thread.
  void run();
  bool receive_one(std::size_t& bytes);
  void receive(const std::string& routing_id, const std::string& public_key, std::string_view frame, bool single);
  peer_entry* greet(const std::string& routing_id, const std::string& public_key, const result<wire::from_node>& first);
  void dispatch(peer_entry& from, wire::from_node&& message, std::size_t bytes);
  bool hand_on(const link::peer& from, wire::from_node&& message, std::size_t bytes);
  void show_life(peer_entry& from);
  void tell_unknown(const link::peer& from, const std::vector<std::string>& fields);
  void drain_outbox();
  void flush_backlogs();
  void deliver(outgoing& what);
  sent try_send(const std::string& routing_id, frame&& what);
  void refuse(const std::string& routing_id, const std::string& reason);
  void drop(const link::peer& whom, const std::string& reason, bool deaf);
  void sweep();

  head_link_options options_;
  head_link_handler handler_;
  admission admission_;
  zmq::context_t context_{1};
  zap_server zap_;
  zmq::socket_t socket_;
  storage::blob_store& blobs_;
  std::vector<std::string> bound_;
  wakeup wakeup_;

  std::mutex mutex_;
  std::vector<outgoing> outbox_;
  bool stopping_ = false;

  peer_table peers_;
  std::int64_t swept_at_ = 0;
  std::atomic<std::uint64_t> frames_in_{0}, frames_out_{0}, malformed_{0}, undeliverable_{0}, unknown_fields_{0},
      passed_over_{0};
  std::optional<head_transfers> transfers_;
  std::thread thread_;
};

router_link::~router_link() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wakeup_.ring();
  if (thread_.joinable())
    thread_.join();
  transfers_.reset();
  socket_.close();
  context_.shutdown(); // ends the ZAP thread
}

result<void> router_link::listen() {
  socket_.set(zmq::sockopt::router_mandatory, true);
  socket_.set(zmq::sockopt::linger, 200);
  socket_.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(4 * wire::frame_bytes_max));
  socket_.set(zmq::sockopt::sndhwm, 1000);
  // Frames of a connection; then its TCP waits. More than the 64 chunks that a node has credit for.
  socket_.set(zmq::sockopt::rcvhwm, 100);
  socket_.set(zmq::sockopt::backlog, 1024);
  socket_.set(zmq::sockopt::tcp_maxrt, static_cast<int>(peer_limits{}.slow_ms_max)); // of a line on which nothing moves
  // No ZMQ_HEARTBEAT_IVL: libzmq 4.3.4 aborts when it is due on a line that broke while its frames waited (#4364).
  socket_.set(zmq::sockopt::tcp_keepalive, 1);
  socket_.set(zmq::sockopt::tcp_keepalive_idle, 5);
  socket_.set(zmq::sockopt::tcp_keepalive_intvl, 2);
  socket_.set(zmq::sockopt::handshake_ivl, 10'000);
  socket_.set(zmq::sockopt::curve_server, true);
  socket_.set(zmq::sockopt::curve_secretkey, options_.keys.secret_key);
  socket_.set(zmq::sockopt::zap_domain, "nodes");
  for (const auto& endpoint : options_.endpoints) {
    try {
      socket_.set(zmq::sockopt::ipv6, endpoint.find('[') != std::string::npos);
      socket_.bind(endpoint);
      bound_.push_back(socket_.get(zmq::sockopt::last_endpoint));
    } catch (const zmq::error_t& e) {
      return fail(e.num() == EADDRINUSE ? "address_in_use" : "link",
                  "cannot listen for nodes on " + endpoint + ": " + e.what());
    }
  }
  return {};
}

void router_link::start() {
  transfers_.emplace(blobs_, head_transfers::callbacks{[this](const auto& to, auto&& message, auto in_flight) {
                                                         enqueue({to, {wire::encode(message), std::move(in_flight)}});
                                                       },
                                                       handler_.on_corrupt});
  thread_ = std::thread([this] { run(); });
}

bool router_link::send(const std::string& connection, wire::to_node message) {
  outgoing what{connection, {wire::encode(message)}};
  bool first = false;
  {
    std::lock_guard guard(mutex_);
    if (stopping_ || outbox_.size() >= options_.outbox_max)
      return false;
    first = outbox_.empty();
    outbox_.push_back(std::move(what));
  }
  if (first)
    wakeup_.ring();
  return true;
}

void router_link::close(const std::string& connection, const std::string& reason) {
  enqueue({connection, {wire::encode(wire::to_node{wire::refused{reason}})}, true});
}

void router_link::enqueue(outgoing what) {
  {
    std::lock_guard guard(mutex_);
    outbox_.push_back(std::move(what));
  }
  wakeup_.ring();
}

link_counters router_link::counters() const {
  return {frames_in_, frames_out_, malformed_, zap_.denied(), undeliverable_, unknown_fields_, passed_over_};
}

void router_link::run() {
  for (bool last_round = false; !last_round;) {
    {
      std::lock_guard guard(mutex_);
      last_round = stopping_;
    }
    try {
      zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, wakeup_.fd(), ZMQ_POLLIN, 0}};
      zmq::poll(items, 2, std::chrono::milliseconds(last_round ? 0 : peers_.any_backlog() ? 5 : sweep_ms));
      if (items[1].revents != 0)
        wakeup_.clear();
      std::size_t bytes = 0;
      for (int i = 0; i < receive_batch && bytes < receive_bytes && receive_one(bytes);)
        ++i;
      drain_outbox();
      flush_backlogs();
      sweep();
    } catch (const std::exception& e) {
      log::error("the node socket met an error and goes on: {}", e.what());
    }
  }
}

// Takes one message apart, whatever its number of parts. False when there is none.
bool router_link::receive_one(std::size_t& bytes) {
  zmq::message_t routing_id, body, extra;
  if (!socket_.recv(routing_id, zmq::recv_flags::dontwait))
    return false;
  bool single = false;
  const char* user = nullptr;
  if (routing_id.more()) {
    (void)socket_.recv(body);
    single = !body.more();
    user = zmq_msg_gets(body.handle(), "User-Id");
    for (bool more = body.more(); more; more = extra.more())
      (void)socket_.recv(extra);
  }
  ++frames_in_;
  bytes += body.size();
  receive(routing_id.to_string(), user ? user : "", foreign_bytes({body.data<char>(), body.size()}).view(), single);
  return true;
}

void router_link::receive(const std::string& routing_id, const std::string& public_key, std::string_view frame,
                          bool single) {
  if (public_key.empty() || peers_.is_closed(routing_id))
    return;
  std::vector<std::string> unknown;
  auto message = single ? wire::decode_from_node(frame, &unknown)
                        : result<wire::from_node>(fail("malformed_frame", "a message of more than one part"));
  auto* from = peers_.by_routing_id(routing_id);
  if (from && from->peer.public_key != public_key) {
    drop(link::peer{from->peer}, "another key took over its routing id", false);
    from = nullptr;
  }
  if (!message) {
    ++malformed_;
    auto whom = from ? from->peer : link::peer{"", public_key};
    log::warn("closed the node with the key {}: {}", public_key, message.error().message);
    refuse(routing_id, message.error().message);
    peers_.close_routing_id(routing_id);
    drop(whom, message.error().message, true);
    return;
  }
  if (!from && !(from = greet(routing_id, public_key, message)))
    return;
  from->heard_at = steady_ms();
  auto whom = from->peer;
  dispatch(*from, std::move(*message), frame.size());
  if (!unknown.empty())
    tell_unknown(whom, unknown);
}

// Said once: a node of another version may say them with each heartbeat.
void router_link::tell_unknown(const link::peer& from, const std::vector<std::string>& fields) {
  ++unknown_fields_;
  auto* entry = peers_.by_connection(from.connection);
  if (!entry)
    return;
  std::string fresh;
  for (const auto& field : fields)
    if (entry->unknown_fields.size() < unknown_fields_max && entry->unknown_fields.insert(field).second)
      fresh += (fresh.empty() ? "" : ", ") + field;
  if (!fresh.empty() && handler_.on_unknown_fields)
    handler_.on_unknown_fields(from, fresh);
}

// A connection begins with hello. Anything else comes from a node that does not know yet that the head, or its line, is
// a new one: it is told, and dials again.
peer_entry* router_link::greet(const std::string& routing_id, const std::string& public_key,
                               const result<wire::from_node>& first) {
  if (!std::holds_alternative<wire::hello>(*first)) {
    refuse(routing_id, "say hello first");
    return nullptr;
  }
  auto* entry = peers_.add(routing_id, public_key, steady_ms());
  if (!entry)
    refuse(routing_id, "the head has too many connections");
  return entry;
}

void router_link::dispatch(peer_entry& from, wire::from_node&& message, std::size_t bytes) {
  auto whom = from.peer; // the handler may close it
  auto too_much = std::visit(
      [&]<class Message>(Message& x) -> const char* {
        if constexpr (is_transfer<Message>) {
          if (!transfers_->take(whom, std::move(x)))
            return "more transfers at once than its credit allows";
          show_life(from);
          return nullptr;
        } else {
          return hand_on(whom, std::move(message), bytes) ? nullptr : "it says more than the head can deal with";
        }
      },
      message);
  if (too_much == nullptr)
    return;
  ++malformed_;
  refuse(from.routing_id, too_much);
  drop(whom, too_much, true);
}

// False when the peer is to be cut.
bool router_link::hand_on(const link::peer& from, wire::from_node&& message, std::size_t bytes) {
  if (!handler_.on_message)
    return true;
  auto verdict = admission_.admit(from.public_key, message, bytes);
  if (verdict == admitted::yes)
    handler_.on_message(from, std::move(message), bytes);
  else if (verdict == admitted::no)
    ++passed_over_;
  return verdict != admitted::too_much;
}

// On a slow line heartbeats wait behind chunks: who sends chunks is alive.
void router_link::show_life(peer_entry& from) {
  if (from.heard_at - from.shown_alive_at < life_ms)
    return;
  from.shown_alive_at = from.heard_at;
  hand_on(link::peer{from.peer}, wire::node_heartbeat{now_ms()}, 0);
}

void router_link::drain_outbox() {
  std::vector<outgoing> batch;
  {
    std::lock_guard guard(mutex_);
    batch.swap(outbox_);
  }
  for (auto& what : batch)
    deliver(what);
}

void router_link::deliver(outgoing& what) {
  auto* to = peers_.by_connection(what.connection);
  if (!to) {
    ++undeliverable_;
    return;
  }
  auto outcome = to->backlog.empty() ? try_send(to->routing_id, std::move(what.frame)) : sent::full;
  if (what.last) { // said or not, this peer is done
    peers_.remove(what.connection, true);
    transfers_->drop(what.connection);
    return;
  }
  if (outcome == sent::yes || (outcome == sent::full && peers_.hold_back(*to, std::move(what.frame), steady_ms())))
    return;
  ++undeliverable_;
  drop(link::peer{to->peer}, outcome == sent::gone ? "it is gone" : "it reads too slowly", outcome == sent::full);
}

void router_link::flush_backlogs() {
  if (!peers_.any_backlog())
    return;
  for (const auto& connection : peers_.with_backlog()) {
    auto* to = peers_.by_connection(connection);
    sent outcome = sent::yes;
    while (!to->backlog.empty() && (outcome = try_send(to->routing_id, frame(to->backlog.front()))) == sent::yes)
      peers_.drop_first_held(*to, steady_ms());
    if (outcome == sent::gone)
      drop(link::peer{to->peer}, "it is gone", false);
  }
}

// The C calls, so that a peer that is gone is a value and no exception. Moves the frame only when it goes.
sent router_link::try_send(const std::string& routing_id, frame&& what) {
  if (zmq_send(socket_.handle(), routing_id.data(), routing_id.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
    return zmq_errno() == EAGAIN ? sent::full : sent::gone;
  auto* kept = new frame(std::move(what)); // until the line has taken it
  zmq::message_t message(
      kept->bytes.data(), kept->bytes.size(), [](void*, void* hint) { delete static_cast<frame*>(hint); }, kept);
  if (zmq_msg_send(message.handle(), socket_.handle(), ZMQ_DONTWAIT) < 0) // not for want of room: it has some
    return sent::gone;
  ++frames_out_;
  return sent::yes;
}

void router_link::refuse(const std::string& routing_id, const std::string& reason) {
  try_send(routing_id, {wire::encode(wire::to_node{wire::refused{reason}})});
}

void router_link::drop(const link::peer& whom, const std::string& reason, bool deaf) {
  if (!whom.connection.empty()) {
    peers_.remove(whom.connection, deaf);
    transfers_->drop(whom.connection);
  }
  if (handler_.on_closed)
    handler_.on_closed(whom, reason);
}

void router_link::sweep() {
  auto now = steady_ms();
  if (now - swept_at_ < sweep_ms)
    return;
  swept_at_ = now;
  for (const auto& whom : peers_.overdue(now))
    drop(whom, "it was silent, or did not read, for too long", true);
}

} // namespace

result<std::unique_ptr<head_link>> head_link::open(const head_link_options& options, storage::blob_store& blobs,
                                                   head_link_handler handler) {
  try {
    auto made = std::make_unique<router_link>(options, blobs, std::move(handler));
    if (auto listening = made->listen(); !listening)
      return listening.error();
    made->start();
    return std::unique_ptr<head_link>(std::move(made));
  } catch (const std::exception& e) {
    return fail("link", std::string("cannot open the node socket: ") + e.what());
  }
}

} // namespace troupe::link
