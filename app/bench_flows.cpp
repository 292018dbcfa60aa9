#include "app/bench.hpp"
#include "app/bench_crowd.hpp"
#include "app/bench_head.hpp"
#include "common/exit_codes.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace troupe::app {

namespace {

/// Who finished when: filled by one event stream an account.
class finishes {
public:
  void done(const std::string& job) {
    std::lock_guard guard(mutex_);
    at_[job] = bench_clock::now();
    ++count_;
    changed_.notify_all();
  }
  bench_clock::time_point wait_for(const std::string& job) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return at_.contains(job); });
    return at_.contains(job) ? at_[job] : bench_clock::time_point::max();
  }
  bool wait_count(std::size_t count, std::chrono::seconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return count_ >= count; });
  }
  std::size_t count() const {
    std::lock_guard guard(mutex_);
    return count_;
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, bench_clock::time_point> at_;
  std::size_t count_ = 0;
};

void follow(std::uint16_t port, const std::string& headers, finishes& out) {
  loopback_client stream(port);
  stream.headers = headers;
  if (!stream.open_stream("/api/events?last_event_id=0"))
    return;
  std::string event;
  for (;;) {
    auto line = stream.read_line();
    if (!line)
      return;
    if (line->starts_with("event: "))
      event = line->substr(7);
    else if (event == "done" && line->starts_with("data: ")) {
      auto data = json::parse(line->substr(6), nullptr, false);
      if (data.is_object())
        out.done(data.value("job_id", std::string{}));
    } else if (line->empty())
      event.clear();
  }
}

double metric(std::uint16_t port, const std::string& name) {
  loopback_client client(port);
  auto text = client.ask("GET", "/metrics");
  if (!text)
    return 0;
  auto at = text->second.find("\n" + name + " ");
  return at == std::string::npos ? 0 : std::strtod(text->second.c_str() + at + name.size() + 2, nullptr);
}

const json flow = {{"inputs", {{"ms", 0}}}};
constexpr int slots = 64;
constexpr std::uint64_t stages = 4; // of a flow
constexpr const char* flow_path = "/api/workflows/bench-chain/runs";

bool wait_for_node(std::uint16_t port, const std::string& headers) {
  loopback_client client(port);
  client.headers = headers;
  for (int i = 0; i < 300; ++i) {
    auto answer = client.ask_json("POST", flow_path, flow);
    if (answer && answer->first == 202)
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

void print_unloaded(std::uint16_t port, const std::string& headers, int count, finishes& done) {
  loopback_client client(port);
  client.headers = headers;
  std::vector<double> ms;
  for (int i = 0; i < count; ++i) {
    auto begin = bench_clock::now();
    auto answer = client.ask_json("POST", flow_path, flow);
    if (!answer || answer->first != 202)
      continue;
    auto end = done.wait_for(answer->second.value("job_id", std::string{}));
    if (end != bench_clock::time_point::max())
      ms.push_back(ms_between(begin, end));
  }
  if (ms.empty())
    return;
  auto of = percentiles_of(ms);
  std::printf(
      "unloaded, one flow at a time (%zu): p50 %.2f ms, p99 %.2f ms, from submit to the client's 'done' event\n",
      ms.size(), of.p50, of.p99);
}

struct submit {
  std::string job;
  bench_clock::time_point sent, answered;
};

/// One flow at a time, each when all stages of the one before it are acknowledged; up to the first that goes wrong. The
/// client follows nothing meanwhile: it shares the machine.
std::vector<submit> submit_one_by_one(std::uint16_t port, const std::string& headers, int count, crowd& node) {
  std::vector<submit> out;
  loopback_client client(port);
  client.headers = headers;
  auto over = node.wait_acknowledged(0, std::chrono::seconds(0));
  for (int i = 0; i < count; ++i) {
    auto sent = bench_clock::now();
    auto answer = client.ask_json("POST", flow_path, flow);
    auto answered = bench_clock::now();
    over += stages;
    if (!answer || answer->first != 202 || node.wait_acknowledged(over, std::chrono::seconds(30)) < over)
      break;
    out.push_back({answer->second.value("job_id", std::string{}), sent, answered});
  }
  return out;
}

void print_pickup(const std::vector<submit>& submits, const order_times& orders) {
  std::vector<double> after_sent, after_answer;
  for (const auto& one : submits)
    if (auto order = orders.first.find(one.job); order != orders.first.end()) {
      after_sent.push_back(ms_between(one.sent, order->second));
      after_answer.push_back(std::max(0.0, ms_between(one.answered, order->second)));
    }
  auto print = [](const char* what, const std::vector<double>& ms) {
    auto of = percentiles_of(ms);
    auto early = std::count(ms.begin(), ms.end(), 0.0);
    std::printf("  after %s: p50 %.2f ms, p99 %.2f ms (%zu", what, of.p50, of.p99, ms.size());
    std::printf(early > 0 ? ", of which %td came before that and count as 0)\n" : ")\n", early);
  };
  std::printf("pickup, one flow at a time: the order of a job's first stage is with an idle node\n");
  print("the submit was sent", after_sent);
  print("the submit was answered, and is on the disk", after_answer);
  std::printf("pickup of a later stage: its order is with the node\n");
  print("the node said the end of the one before it", orders.after_end);
  print("the head said that this end is on the disk", orders.after_acknowledgement);
}

/// On a head of its own whose only node is this process, so that one clock tells all moments.
bool measure_pickup(const std::string& program, int count) {
  auto data = make_bench_folder();
  std::vector<submit> submits;
  {
    bench_head head(program, data,
                    {"node.local=false", "cluster.listen=tcp://127.0.0.1:" + std::to_string(free_port())});
    auto admin = head.start() ? admin_headers(head.port()) : std::string{};
    auto accounts = make_accounts(head.port(), admin, 1);
    auto members = add_nodes(head.port(), admin, 1);
    if (!accounts.empty() && !members.empty()) {
      crowd node(std::move(members), 1);
      if (wait_for_node(head.port(), accounts[0]) && node.wait_acknowledged(stages, std::chrono::seconds(30)) >= stages)
        submits = submit_one_by_one(head.port(), accounts[0], count, node);
      print_pickup(submits, node.stop());
      head.kill();
    }
  }
  std::filesystem::remove_all(data);
  if (submits.size() < static_cast<std::size_t>(count))
    std::printf("only %zu of %d flows ended while pickup was measured\n", submits.size(), count);
  return submits.size() == static_cast<std::size_t>(count);
}

/// Submits `count` times over as many connections as there are `clients`, each with one request at a time; how many
/// were refused. One thread has all connections, so that the head is measured and not the turns of a hundred threads.
int submit_all(std::uint16_t port, const std::vector<std::string>& accounts, int clients, int count,
               const std::string& body) {
  int next = 0, refused = 0;
  std::vector<std::unique_ptr<loopback_client>> all;
  std::vector<pollfd> open(static_cast<std::size_t>(clients));
  auto begin_next = [&](std::size_t i) {
    for (open[i].fd = -1; open[i].fd < 0 && next < count; ++next) {
      if (all[i]->begin("POST", flow_path, body))
        open[i].fd = all[i]->connection();
      else
        ++refused;
    }
  };
  for (std::size_t i = 0; i < open.size(); ++i) {
    all.push_back(std::make_unique<loopback_client>(port));
    all[i]->headers = accounts[i % accounts.size()];
    open[i].events = POLLIN;
    begin_next(i);
  }
  auto waits = [](const pollfd& one) { return one.fd >= 0; };
  while (std::any_of(open.begin(), open.end(), waits)) {
    if (::poll(open.data(), open.size(), 30'000) <= 0) { // as long as a blocking client waits
      refused += static_cast<int>(std::count_if(open.begin(), open.end(), waits));
      break;
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (!waits(open[i]) || open[i].revents == 0)
        continue;
      auto answer = all[i]->finish();
      refused += !answer || answer->first != 202;
      begin_next(i);
    }
  }
  return refused;
}

/// Of jobs that only wait: the first ones take all slots, and hold them for a minute.
bool print_submits(std::uint16_t port, const std::vector<std::string>& accounts, int clients, int count) {
  auto body = json{{"inputs", {{"ms", 60'000}}}}.dump();
  auto refused = submit_all(port, accounts, 1, slots, body);
  auto begin = bench_clock::now();
  refused += submit_all(port, accounts, clients, count, body);
  std::printf("%d submits while every slot is busy, %d clients: %.0f submits/s\n", count, clients,
              count / seconds_since(begin));
  if (refused > 0)
    std::printf("%d submits were refused\n", refused);
  return refused == 0;
}

} // namespace

int bench_flows(const bench_flows_options& options) {
  auto data = options.data.empty() ? make_bench_folder() : options.data;
  int status = exit_failure;
  {
    bench_head head(options.program, data,
                    {"node.slots=" + std::to_string(slots), "scheduler.in_flight_per_account=256"});
    if (!head.start()) {
      std::fprintf(stderr, "troupe bench: the head did not start\n");
      return exit_unavailable;
    }
    auto accounts = make_accounts(head.port(), admin_headers(head.port()), std::min(options.clients, 16));
    if (accounts.empty() || !wait_for_node(head.port(), accounts[0])) {
      std::fprintf(stderr, "troupe bench: no node took a flow within 30 s\n");
      return exit_unavailable;
    }
    finishes done;
    std::vector<std::thread> streams;
    for (const auto& headers : accounts)
      streams.emplace_back([&, headers] { follow(head.port(), headers, done); });
    done.wait_count(1, std::chrono::seconds(30));
    print_unloaded(head.port(), accounts[0], options.unloaded, done);

    auto before = done.count();
    auto syncs = metric(head.port(), "troupe_journal_syncs_total");
    auto begin = bench_clock::now();
    auto refused = submit_all(head.port(), accounts, options.clients, options.jobs, flow.dump());
    auto submitted = seconds_since(begin);
    auto expected = static_cast<std::size_t>(options.jobs - refused);
    auto all = done.wait_count(before + expected, std::chrono::seconds(600));
    auto took = seconds_since(begin);
    auto after = metric(head.port(), "troupe_journal_syncs_total");
    std::printf("%d flows of 4 stages, %d clients, %zu accounts: %.0f submits/s, %.0f flows/s, %.2f syncs/flow\n",
                options.jobs, options.clients, accounts.size(), static_cast<double>(expected) / submitted,
                static_cast<double>(expected) / took, (after - syncs) / static_cast<double>(expected));
    if (refused > 0)
      std::printf("%d submits were refused\n", refused);
    if (!all)
      std::printf("not all flows ended within 10 minutes: %zu of %zu\n", done.count() - before, expected);
    auto taken = options.submits == 0 || print_submits(head.port(), accounts, options.submitters, options.submits);
    status = all && refused == 0 && taken ? exit_ok : exit_failure;
    head.kill(); // nobody needs what still waits
    // The streams end with their head.
    for (auto& s : streams)
      s.detach();
  }
  if (options.data.empty())
    std::filesystem::remove_all(data);
  if (status == exit_ok && options.unloaded > 0 && !measure_pickup(options.program, options.unloaded))
    status = exit_failure;
  std::fflush(stdout);
  std::_Exit(status); // the detached streams may still be reading their last bytes
}

} // namespace troupe::app
