#include "app/bench_crowd.hpp"

#include "common/clock.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace troupe::app {

std::uint16_t free_port() {
  auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto good = ::bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
              ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  ::close(fd);
  return good ? ntohs(at.sin_port) : 0;
}

void order_times::acknowledged(const std::string& job) {
  if (auto known = open_.find(job); known != open_.end())
    known->second.acknowledged = bench_clock::now();
  {
    std::lock_guard guard(mutex_);
    ++acknowledged_;
  }
  changed_.notify_all();
}

std::uint64_t order_times::wait_acknowledged(std::uint64_t count, std::chrono::seconds patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return acknowledged_ >= count; });
  return acknowledged_;
}

void order_times::assigned(const std::string& job) {
  auto now = bench_clock::now();
  auto known = open_.find(job);
  if (known == open_.end()) {
    first.emplace(job, now);
    return;
  }
  after_end.push_back(ms_between(known->second.ended, now));
  after_acknowledgement.push_back(known->second.acknowledged ? ms_between(*known->second.acknowledged, now) : 0);
  open_.erase(known);
}

wire::hello simulated_node::hello() const {
  wire::hello out;
  out.node = who_.name;
  out.session = "bench";
  for (int i = 0; i < devices_; ++i)
    out.devices.push_back({"sim" + std::to_string(i), "sim", "simulated", 1, 80'000, {"null.work"}});
  out.engines.push_back({"null", "1", {{"null.work", 0, false}}, true, "", ""});
  return out;
}

void simulated_node::dial() {
  socket_ = zmq::socket_t(context_, zmq::socket_type::dealer);
  socket_.set(zmq::sockopt::linger, 0);
  socket_.set(zmq::sockopt::curve_serverkey, who_.head_key);
  socket_.set(zmq::sockopt::curve_publickey, who_.public_key);
  socket_.set(zmq::sockopt::curve_secretkey, who_.secret_key);
  socket_.set(zmq::sockopt::heartbeat_ivl, 1000);
  socket_.set(zmq::sockopt::heartbeat_timeout, 4000);
  socket_.connect(who_.endpoint);
  welcomed_ = false;
  dialled_at_ = steady_ms();
  say(hello());
}

void simulated_node::beat(std::int64_t now) {
  if (!welcomed_ && now - dialled_at_ > 10'000)
    dial();
  if (!welcomed_ || now - beat_at_ < heartbeat_ms_)
    return;
  beat_at_ = now;
  say(wire::node_heartbeat{now_ms()});
}

void simulated_node::hear() {
  zmq::message_t frame;
  while (socket_.recv(frame, zmq::recv_flags::dontwait)) {
    auto what = wire::decode_to_node({frame.data<char>(), frame.size()});
    if (what)
      take(std::move(*what));
  }
}

void simulated_node::take(wire::to_node&& what) {
  if (auto* terms = std::get_if<wire::welcome>(&what)) {
    welcomed_ = true;
    heartbeat_ms_ = terms->heartbeat_ms;
    beat_at_ = steady_ms() - std::hash<std::string>{}(who_.name) % terms->heartbeat_ms; // not all in one moment
  } else if (auto* work = std::get_if<wire::assign>(&what)) {
    times_.assigned(work->ref.job);
    say(wire::finished{work->ref, work->device, "null/1", false, 0, {}});
    times_.ended(work->ref.job);
    ++done;
  } else if (auto* heard = std::get_if<wire::acknowledge>(&what)) {
    times_.acknowledged(heard->ref.job);
  } else if (auto* unwanted = std::get_if<wire::cancel>(&what)) {
    say(wire::failed{unwanted->ref, "sim0", "cancelled", "", "", 0});
  } else if (std::holds_alternative<wire::refused>(what)) {
    ++refusals;
    dial();
  }
}

crowd::crowd(std::vector<membership> members, int devices) {
  context_.set(zmq::ctxopt::max_sockets, static_cast<int>(members.size()) + 64);
  for (auto& who : members)
    nodes_.emplace_back(context_, times_, std::move(who), devices);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

const order_times& crowd::stop() {
  thread_.request_stop();
  thread_.join();
  return times_;
}

void crowd::run(const std::stop_token& stop) {
  for (auto& node : nodes_)
    node.dial();
  std::vector<zmq::pollitem_t> items(nodes_.size());
  for (std::int64_t beaten = 0; !stop.stop_requested();) {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      items[i] = {nodes_[i].socket(), 0, ZMQ_POLLIN, 0};
    zmq::poll(items, std::chrono::milliseconds(20));
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (items[i].revents != 0)
        nodes_[i].hear();
    auto now = steady_ms();
    if (now - beaten < 20)
      continue;
    beaten = now;
    int welcome = 0;
    std::uint64_t done = 0, refusals = 0;
    for (auto& node : nodes_) {
      node.beat(now);
      welcome += node.welcomed() ? 1 : 0;
      done += node.done;
      refusals += node.refusals;
    }
    welcomed_ = welcome;
    done_ = done;
    refusals_ = refusals;
  }
  nodes_.clear(); // sockets belong to this thread
}

std::vector<membership> add_nodes(std::uint16_t port, const std::string& admin, int count) {
  constexpr int lines = 8;
  std::vector<membership> out(static_cast<std::size_t>(count));
  std::vector<std::unique_ptr<loopback_client>> clients;
  for (int i = 0; i < lines; ++i) {
    clients.push_back(std::make_unique<loopback_client>(port));
    clients.back()->headers = admin;
  }
  auto good = in_parallel(lines, count, [&](int thread, int i) {
    char name[16];
    std::snprintf(name, sizeof name, "sim%05d", i);
    auto answer = clients[static_cast<std::size_t>(thread)]->ask_json("POST", "/api/admin/nodes", {{"name", name}});
    if (!answer || answer->first != 201)
      return false;
    auto token = json::parse(answer->second.at("token").get<std::string>());
    out[static_cast<std::size_t>(i)] = {name, token.at("heads").at(0), token.at("head_key"), token.at("public_key"),
                                        token.at("secret_key")};
    return true;
  });
  if (good != count)
    out.clear();
  return out;
}

} // namespace troupe::app
