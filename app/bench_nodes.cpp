// Many nodes on one head, over real sockets with CURVE, all in this process: what the API feels of them.

#include "app/bench.hpp"
#include "app/bench_head.hpp"
#include "app/file_limit.hpp"
#include "common/clock.hpp"
#include "common/exit_codes.hpp"
#include "gpu/wire/messages.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.hpp>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

namespace troupe::app {

namespace {

constexpr int accounts_max = 16;
constexpr const char* run_path = "/api/workflows/bench-chain/runs";
const char* const flow = R"({"inputs":{"ms":0}})";

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

/// What a node is told when it is added.
struct membership {
  std::string name, endpoint, head_key, public_key, secret_key;
};

/// How soon a job's next stage comes to a node, by the nodes' clock: after the one before it was said to have ended,
/// and after that was acknowledged, which the head does when it is on the disk. Milliseconds. For the nodes' thread.
class pickups {
public:
  void ended(const std::string& job) { jobs_[job] = {bench_clock::now(), {}}; }
  void acknowledged(const std::string& job) {
    if (auto known = jobs_.find(job); known != jobs_.end())
      known->second.acknowledged = bench_clock::now();
  }
  void assigned(const std::string& job) {
    auto known = jobs_.find(job);
    if (known == jobs_.end())
      return; // its first
    auto now = bench_clock::now();
    auto ms = [&](bench_clock::time_point since) {
      return std::chrono::duration<double, std::milli>(now - since).count();
    };
    after_end.push_back(ms(known->second.ended));
    after_acknowledgement.push_back(known->second.acknowledged ? ms(*known->second.acknowledged) : 0);
    jobs_.erase(known);
  }
  std::vector<double> after_end, after_acknowledgement;

private:
  struct moments {
    bench_clock::time_point ended;
    std::optional<bench_clock::time_point> acknowledged;
  };
  std::unordered_map<std::string, moments> jobs_;
};

/// A node without engines: each attempt has succeeded the moment that it is assigned.
class simulated_node {
public:
  simulated_node(zmq::context_t& context, pickups& times, membership who, int devices)
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
  pickups& times_;
  membership who_;
  int devices_;
  zmq::socket_t socket_;
  bool welcomed_ = false;
  std::int64_t heartbeat_ms_ = 1000, beat_at_ = 0, dialled_at_ = 0;
};

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

/// All nodes, on a thread of its own.
class crowd {
public:
  crowd(std::vector<membership> members, int devices) {
    context_.set(zmq::ctxopt::max_sockets, static_cast<int>(members.size()) + 64);
    for (auto& who : members)
      nodes_.emplace_back(context_, times_, std::move(who), devices);
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  int welcomed() const { return welcomed_; }
  std::uint64_t done() const { return done_; }
  std::uint64_t refusals() const { return refusals_; }
  /// Ends them all.
  const pickups& stop() {
    thread_.request_stop();
    thread_.join();
    return times_;
  }

private:
  void run(const std::stop_token& stop);

  zmq::context_t context_{1};
  pickups times_;
  std::vector<simulated_node> nodes_;
  std::atomic<int> welcomed_{0};
  std::atomic<std::uint64_t> done_{0}, refusals_{0};
  std::jthread thread_;
};

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

/// Lets all of them join, as an operator would.
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

struct latencies {
  std::vector<double> job, queue, submit;
  int failed = 0;
};

/// Submits `rate` flows a second and asks for jobs and the queue as often, each request timed from the moment that it
/// was due: one that waits for another is late.
latencies load(std::uint16_t port, const std::vector<std::string>& accounts, int rate, int seconds) {
  std::mutex mutex;
  latencies all;
  auto begin = bench_clock::now();
  auto lines = static_cast<int>(accounts.size());
  std::vector<std::jthread> threads;
  for (int t = 0; t < lines; ++t)
    threads.emplace_back([&, t] {
      loopback_client client(port);
      client.headers = accounts[static_cast<std::size_t>(t)];
      latencies mine;
      std::string job;
      for (int i = t; i < rate * seconds; i += lines) {
        auto due = begin + std::chrono::microseconds(1'000'000LL * i / rate);
        std::this_thread::sleep_until(due);
        auto timed = [&](std::vector<double>& into, const char* method, const std::string& path, const char* body,
                         int wanted) {
          auto answer = client.ask(method, path, body);
          into.push_back(1000 * seconds_since(due));
          mine.failed += answer && answer->first == wanted ? 0 : 1;
          due = bench_clock::now();
          return answer ? answer->second : std::string{};
        };
        auto made = json::parse(timed(mine.submit, "POST", run_path, flow, 202), nullptr, false);
        if (made.is_object())
          job = made.value("job_id", job);
        timed(mine.job, "GET", "/api/jobs/" + job, "", 200);
        timed(mine.queue, "GET", "/api/queue", "", 200);
      }
      std::lock_guard guard(mutex);
      all.job.insert(all.job.end(), mine.job.begin(), mine.job.end());
      all.queue.insert(all.queue.end(), mine.queue.begin(), mine.queue.end());
      all.submit.insert(all.submit.end(), mine.submit.begin(), mine.submit.end());
      all.failed += mine.failed;
    });
  threads.clear();
  return all;
}

/// Seconds of processor time that the process has had, and what it holds in memory, MiB.
std::pair<double, double> use_of(pid_t pid) {
  double ticks = 0, pages = 0;
  std::string word;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  for (int i = 1; i <= 24 && stat >> word; ++i) {
    if (i == 14 || i == 15)
      ticks += std::stod(word);
    else if (i == 24)
      pages = std::stod(word);
  }
  return {ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)),
          pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20)};
}

void print(const char* what, const std::vector<double>& ms) {
  auto p = percentiles_of(ms);
  std::printf("  %-20s p50 %.2f ms, p99 %.2f ms, worst %.1f ms (%zu)\n", what, p.p50, p.p99, p.worst, ms.size());
}

bool run(const bench_nodes_options& options, bench_head& head) {
  if (!head.start())
    return false;
  auto admin = admin_headers(head.port());
  auto accounts = make_accounts(head.port(), admin, accounts_max);
  auto members = add_nodes(head.port(), admin, options.nodes);
  if (accounts.empty() || members.empty())
    return false;
  auto begin = bench_clock::now();
  crowd nodes(std::move(members), options.devices);
  while (nodes.welcomed() < options.nodes && seconds_since(begin) < 120)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::printf("%d of %d nodes with %d devices each are welcome after %.2f s\n", nodes.welcomed(), options.nodes,
              options.devices, seconds_since(begin));
  if (nodes.welcomed() < options.nodes)
    return false;
  std::this_thread::sleep_for(std::chrono::seconds(2));
  auto [cpu_before, idle_mib] = use_of(head.pid());
  std::this_thread::sleep_for(std::chrono::seconds(5));
  auto [cpu_idle, mib] = use_of(head.pid());
  std::printf("without work the head uses %.0f %% of a core, %.0f MiB\n", 20 * (cpu_idle - cpu_before), mib);
  auto done = nodes.done();
  auto measured = load(head.port(), accounts, options.rate, options.seconds);
  auto [cpu_after, mib_after] = use_of(head.pid());
  for (int i = 0; i < 500 && nodes.done() - done < 4u * measured.submit.size(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::printf("%d flows of 4 stages a second for %d s; %llu stages done; the head uses %.0f %% of a core, %.0f MiB\n",
              options.rate, options.seconds, static_cast<unsigned long long>(nodes.done() - done),
              100 * (cpu_after - cpu_idle) / options.seconds, mib_after);
  print("POST …/runs", measured.submit);
  print("GET /api/jobs/{id}", measured.job);
  print("GET /api/queue", measured.queue);
  auto all = nodes.done() - done == 4u * measured.submit.size();
  std::printf("  %d requests failed, %llu nodes were refused, %d nodes are welcome%s\n", measured.failed,
              static_cast<unsigned long long>(nodes.refusals()), nodes.welcomed(), all ? "" : "; NOT ALL stages ended");
  auto good = measured.failed == 0 && nodes.refusals() == 0 && all && nodes.welcomed() == options.nodes;
  const auto& times = nodes.stop();
  std::printf("a job's next stage is with its node, after the end of the stage before it was\n");
  print("said by a node", times.after_end);
  print("on the disk", times.after_acknowledgement);
  return good;
}

} // namespace

int bench_nodes(const bench_nodes_options& options) {
  raise_file_limit();
  auto data = options.data.empty() ? make_bench_folder() : options.data;
  bool good = false;
  {
    bench_head head(options.program, data,
                    {"node.local=false", "scheduler.in_flight_per_account=10000",
                     "cluster.listen=tcp://127.0.0.1:" + std::to_string(free_port())});
    good = run(options, head);
  }
  if (options.data.empty())
    std::filesystem::remove_all(data);
  if (!good)
    std::fprintf(stderr, "troupe bench: not all went well\n");
  return good ? exit_ok : exit_failure;
}

} // namespace troupe::app
