// A head that is killed with many jobs on its hands: how soon it serves again, and that it lost no running stage.

#include "app/bench.hpp"
#include "app/bench_head.hpp"
#include "common/exit_codes.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

namespace troupe::app {

namespace {

constexpr int accounts_max = 20;
constexpr int slots = 8;
constexpr int samples = 400;
constexpr const char* path = "/api/workflows/bench-chain/runs";

/// Job, stage, attempt.
using attempts = std::set<std::tuple<std::string, std::uint32_t, std::uint64_t>>;

class studio {
public:
  explicit studio(const bench_recovery_options& options, const std::string& data)
    : options_(options),
      head_(options.program, data, {"node.slots=" + std::to_string(slots), "scheduler.in_flight_per_account=1000"}) {}

  bool prepare();
  bool round(int number);

private:
  result<json> get(const std::string& headers, const std::string& what);
  attempts running();
  std::size_t queued();
  bool wait_until(const std::function<bool()>& done, int seconds);
  bool all_ended_at_first_try(const attempts& ran);
  percentiles sample(const std::vector<std::string>& jobs);

  const bench_recovery_options& options_;
  bench_head head_;
  std::string admin_;
  std::vector<std::string> accounts_;
  std::map<std::string, std::string> owners_; // of jobs: headers
};

result<json> studio::get(const std::string& headers, const std::string& what) {
  loopback_client client(head_.port());
  client.headers = headers;
  auto answer = client.ask_json("GET", what);
  if (!answer)
    return answer.error();
  if (answer->first != 200)
    return fail("refused", what + " is answered with " + std::to_string(answer->first));
  return std::move(answer->second);
}

attempts studio::running() {
  attempts out;
  auto devices = get(admin_, "/api/admin/devices");
  if (devices)
    for (const auto& device : devices->at("devices"))
      for (const auto& stage : device.value("running", json::array()))
        out.emplace(stage.at("job").get<std::string>(), stage.at("stage").get<std::uint32_t>(),
                    stage.at("attempt").get<std::uint64_t>());
  return out;
}

std::size_t studio::queued() {
  auto state = get(admin_, "/api/queue");
  return state ? state->value("queue_length", std::size_t{0}) : 0;
}

bool studio::wait_until(const std::function<bool()>& done, int seconds) {
  for (auto begin = bench_clock::now(); seconds_since(begin) < seconds;) {
    if (done())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return done();
}

bool studio::prepare() {
  if (!head_.start())
    return false;
  admin_ = admin_headers(head_.port());
  accounts_ = make_accounts(head_.port(), admin_, accounts_max);
  if (accounts_.empty())
    return false;
  auto body = json{{"inputs", {{"ms", options_.stage_ms}}}};
  auto there = [&] {
    loopback_client client(head_.port());
    client.headers = accounts_[0];
    auto answer = client.ask_json("POST", path, body);
    if (answer && answer->first == 202)
      owners_[answer->second.at("job_id")] = accounts_[0];
    return !owners_.empty();
  };
  if (!wait_until(there, 60))
    return false;
  constexpr int clients = 32;
  std::vector<std::unique_ptr<loopback_client>> lines;
  std::vector<std::vector<std::string>> made(clients);
  for (int c = 0; c < clients; ++c) {
    lines.push_back(std::make_unique<loopback_client>(head_.port()));
    lines.back()->headers = accounts_[static_cast<std::size_t>(c) % accounts_.size()];
  }
  auto begin = bench_clock::now();
  in_parallel(clients, options_.jobs - 1, [&](int thread, int) {
    auto at = static_cast<std::size_t>(thread);
    auto answer = lines[at]->ask_json("POST", path, body);
    if (!answer || answer->first != 202)
      return false;
    made[at].push_back(answer->second.at("job_id"));
    return true;
  });
  for (std::size_t c = 0; c < clients; ++c)
    for (const auto& job : made[c])
      owners_[job] = lines[c]->headers;
  std::printf("%zu jobs submitted in %.0f s\n", owners_.size(), seconds_since(begin));
  return static_cast<int>(owners_.size()) == options_.jobs;
}

/// What answers take while jobs are still being taken up.
percentiles studio::sample(const std::vector<std::string>& jobs) {
  std::vector<double> ms;
  loopback_client client(head_.port());
  for (int i = 0; i < samples; ++i) {
    const auto& job = jobs[static_cast<std::size_t>(i) % jobs.size()];
    client.headers = owners_.at(job);
    auto begin = bench_clock::now();
    auto answer = client.ask("GET", i % 2 == 0 ? "/api/jobs/" + job : "/api/queue");
    ms.push_back(answer && answer->first == 200 ? 1000 * seconds_since(begin) : 30'000);
  }
  return percentiles_of(std::move(ms));
}

bool studio::all_ended_at_first_try(const attempts& ran) {
  for (const auto& [job, stage, attempt] : ran) {
    auto view = get(owners_.at(job), "/api/jobs/" + job);
    if (!view)
      return false;
    const auto& now = view->at("stages").at(stage);
    if (now.at("attempts") != 1 || now.at("status") != "succeeded")
      return false;
  }
  return true;
}

bool studio::round(int number) {
  attempts before, now;
  // Stages that have just begun: they are to outlast the kill by far.
  auto earlier = running();
  auto began = [&] {
    before = running();
    return before.size() == slots &&
           std::none_of(before.begin(), before.end(), [&](const auto& one) { return earlier.contains(one); });
  };
  if (!wait_until(began, options_.stage_ms / 1000 + 60))
    return false;
  auto waiting = queued();
  std::vector<std::string> some; // far from each other, and none of them in memory
  auto step = std::max<std::size_t>(1, owners_.size() / 100);
  std::size_t i = 0;
  for (const auto& [job, headers] : owners_)
    if (i++ % step == step / 2)
      some.push_back(job);
  head_.kill();
  auto begin = bench_clock::now();
  if (!head_.start())
    return false;
  auto listening = seconds_since(begin);
  auto first = get(owners_.at(some[0]), "/api/jobs/" + some[0]);
  auto answered = seconds_since(begin);
  percentiles latency;
  std::jthread sampler([&] { latency = sample(some); });
  auto same = wait_until([&] { return (now = running()) == before; }, 30);
  auto attached = seconds_since(begin);
  auto all_queued = wait_until([&] { return queued() >= waiting; }, 120);
  auto taken_up = seconds_since(begin);
  sampler.join();
  std::printf(
      "kill %d: %zu jobs wait, %zu stages run; listening after %.2f s, first answer after %.2f s; then p50 %.1f "
      "ms, p99 %.1f ms; all queued after %.2f s; %s after %.2f s\n",
      number, waiting, before.size(), listening, answered, latency.p50, latency.p99, taken_up,
      same ? "the same attempts run" : "OTHER ATTEMPTS RUN", attached);
  auto ended = wait_until([&] { return all_ended_at_first_try(before); }, options_.stage_ms / 1000 + 30);
  std::printf("        %zu stages that ran over the kill ended, %s\n", before.size(),
              ended ? "each at its first attempt" : "NOT ALL at their first attempt");
  return first && all_queued && same && ended;
}

} // namespace

int bench_recovery(const bench_recovery_options& options) {
  auto data = options.data.empty() ? make_bench_folder() : options.data;
  bool good = false;
  {
    studio bench(options, data);
    good = bench.prepare();
    if (!good)
      std::fprintf(stderr, "troupe bench: the head did not start, or did not take all jobs\n");
    for (int i = 1; good && i <= options.kills; ++i)
      good = bench.round(i);
  }
  if (options.data.empty())
    std::filesystem::remove_all(data);
  return good ? exit_ok : exit_failure;
}

} // namespace troupe::app
