// Many nodes on one head, over real sockets with CURVE, all in this process: what the API feels of them.

#include "app/bench.hpp"
#include "app/bench_crowd.hpp"
#include "app/bench_head.hpp"
#include "app/file_limit.hpp"
#include "common/exit_codes.hpp"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

namespace troupe::app {

namespace {

constexpr int accounts_max = 16;
constexpr const char* run_path = "/api/workflows/bench-chain/runs";
const char* const flow = R"({"inputs":{"ms":0}})";

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
  return measured.failed == 0 && nodes.refusals() == 0 && all && nodes.welcomed() == options.nodes;
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
