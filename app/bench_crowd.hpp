#pragma once

// Nodes that live in the bench's own process and speak to a head over real sockets with CURVE. The bench is the node
// then, so one clock tells both when a client asked and when an order came.

#include "app/bench_head.hpp"
#include "gpu/wire/messages.hpp"

#include <zmq.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

namespace troupe::app {

/// A TCP port of the loopback that nobody has now; 0: there is none.
std::uint16_t free_port();

/// What a node is told when it is added.
struct membership {
  std::string name, endpoint, head_key, public_key, secret_key;
};

/// Lets as many nodes join, as an operator would; none where the head refuses one.
std::vector<membership> add_nodes(std::uint16_t port, const std::string& admin, int count);

/// When orders came to nodes, by their clock. For the nodes' thread, and for others when that has ended, but for
/// wait_acknowledged().
class order_times {
public:
  void assigned(const std::string& job);
  void ended(const std::string& job) { open_[job] = {bench_clock::now(), {}}; }
  void acknowledged(const std::string& job);
  /// From any thread: how many ends were acknowledged, by now or when they are `count`, or when patience is at an end.
  std::uint64_t wait_acknowledged(std::uint64_t count, std::chrono::seconds patience);

  std::unordered_map<std::string, bench_clock::time_point> first; // job → its first stage's order
  // Of each later stage, ms: from where the node said the end of the one before it; and from where the head said that
  // this is on the disk, 0 where the order came before that word.
  std::vector<double> after_end, after_acknowledgement;

private:
  struct moments {
    bench_clock::time_point ended;
    std::optional<bench_clock::time_point> acknowledged;
  };
  std::unordered_map<std::string, moments> open_; // job → its last stage that ended
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t acknowledged_ = 0; // guarded by mutex_
};

/// A node without engines: each attempt has succeeded the moment that it is assigned.
class simulated_node {
public:
  simulated_node(zmq::context_t& context, order_times& times, membership who, int devices)
    : context_(context), times_(times), who_(std::move(who)), devices_(devices) {}

  void dial();
  void hear();
  void beat(std::int64_t now);
  void* socket() { return socket_.handle(); }
  bool welcomed() const { return welcomed_; }

  std::uint64_t done = 0, refusals = 0;

private:
  void say(const wire::from_node& what) {
    auto frame = wire::encode(what);
    zmq_send(socket_.handle(), frame.data(), frame.size(), ZMQ_DONTWAIT);
  }
  void take(wire::to_node&& what);
  wire::hello hello() const;

  zmq::context_t& context_;
  order_times& times_;
  membership who_;
  int devices_;
  zmq::socket_t socket_;
  bool welcomed_ = false;
  std::int64_t heartbeat_ms_ = 1000, beat_at_ = 0, dialled_at_ = 0;
};

/// All nodes, on a thread of its own.
class crowd {
public:
  crowd(std::vector<membership> members, int devices);
  int welcomed() const { return welcomed_; }
  std::uint64_t done() const { return done_; }
  std::uint64_t refusals() const { return refusals_; }
  /// See order_times.
  std::uint64_t wait_acknowledged(std::uint64_t count, std::chrono::seconds patience) {
    return times_.wait_acknowledged(count, patience);
  }
  /// Ends them all; when their orders came.
  const order_times& stop();

private:
  void run(const std::stop_token& stop);

  zmq::context_t context_{1};
  order_times times_;
  std::vector<simulated_node> nodes_;
  std::atomic<int> welcomed_{0};
  std::atomic<std::uint64_t> done_{0}, refusals_{0};
  std::jthread thread_;
};

} // namespace troupe::app
