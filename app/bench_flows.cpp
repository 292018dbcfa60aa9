#include "app/bench.hpp"
#include "app/loopback_client.hpp"
#include "common/clock.hpp"
#include "common/exit_codes.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace troupe::app {

namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point begin) { return std::chrono::duration<double>(clock::now() - begin).count(); }

/// A head of our own, with its local node, on a free port.
class served_head {
public:
  bool start(const std::string& program, const std::string& data) {
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0)
      return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    std::vector<std::string> words{program, "serve", "--data", data, "--listen", "127.0.0.1:0"};
    for (const char* set :
         {"limits.signup_per_address_hour=0", "limits.spend_per_user_minute=0", "limits.per_address_10min=0",
          "limits.login_per_address_5min=0", "node.slots=64", "scheduler.in_flight_per_account=256",
          "scheduler.queue_per_account=1000000", "log.level=warn"}) {
      words.emplace_back("--set");
      words.emplace_back(set);
    }
    std::vector<char*> argv;
    for (auto& w : words)
      argv.push_back(w.data());
    argv.push_back(nullptr);
    ::setenv("TROUPE_ADMIN_PASSWORD", "bench-password", 1);
    auto failed = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::unsetenv("TROUPE_ADMIN_PASSWORD");
    posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    if (failed != 0)
      return false;
    std::string line;
    for (char c; ::read(out[0], &c, 1) == 1 && c != '\n';)
      line += c;
    ::close(out[0]);
    auto colon = line.rfind(':');
    port_ = colon == std::string::npos ? 0 : static_cast<std::uint16_t>(std::atoi(line.c_str() + colon + 1));
    return port_ != 0;
  }
  ~served_head() {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGTERM);
    int status = 0;
    ::waitpid(pid_, &status, 0);
  }
  std::uint16_t port() const { return port_; }

private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

struct account {
  std::string name, headers;
};

/// Who finished when: filled by one event stream an account.
class finishes {
public:
  void done(const std::string& job) {
    std::lock_guard guard(mutex_);
    at_[job] = clock::now();
    ++count_;
    changed_.notify_all();
  }
  clock::time_point wait_for(const std::string& job) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return at_.contains(job); });
    return at_.contains(job) ? at_[job] : clock::time_point::max();
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
  std::unordered_map<std::string, clock::time_point> at_;
  std::size_t count_ = 0;
};

void follow(std::uint16_t port, const std::string& headers, finishes& out, std::atomic<bool>& ready) {
  loopback_client stream(port);
  stream.headers = headers;
  if (!stream.open_stream("/api/events?last_event_id=0"))
    return;
  ready = true;
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

std::optional<account> sign_up(std::uint16_t port, const std::string& admin, int number) {
  loopback_client client(port);
  account out{"bench" + std::to_string(number), {}};
  auto made = client.ask_json("POST", "/api/signup", {{"username", out.name}, {"password", "bench-password"}});
  if (!made || made->first != 201)
    return std::nullopt;
  client.headers = admin;
  auto granted =
      client.ask_json("PUT", "/api/admin/accounts/" + out.name, {{"tier", "studio"}, {"grant_credits", 10'000'000}});
  if (!granted || granted->first != 200)
    return std::nullopt;
  return out;
}

/// Logs in and makes an API key; the header that carries it.
std::string key_header(std::uint16_t port, const std::string& name) {
  loopback_client client(port);
  auto cookie = client.login(name, "bench-password");
  if (!cookie)
    return {};
  client.headers = "Cookie: " + *cookie + "\r\nOrigin: http://127.0.0.1\r\n";
  auto key = client.ask_json("POST", "/api/keys", {{"name", "bench"}});
  return key && key->first == 201 ? "Authorization: Bearer " + key->second.value("key", std::string{}) + "\r\n"
                                  : std::string{};
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

void print_unloaded(std::uint16_t port, const account& who, int count, finishes& done) {
  loopback_client client(port);
  client.headers = who.headers;
  std::vector<double> ms;
  for (int i = 0; i < count; ++i) {
    auto begin = clock::now();
    auto answer = client.ask_json("POST", flow_path, flow);
    if (!answer || answer->first != 202)
      continue;
    auto end = done.wait_for(answer->second.value("job_id", std::string{}));
    if (end != clock::time_point::max())
      ms.push_back(std::chrono::duration<double, std::milli>(end - begin).count());
  }
  if (ms.empty())
    return;
  std::sort(ms.begin(), ms.end());
  std::printf(
      "unloaded, one flow at a time (%zu): p50 %.2f ms, p99 %.2f ms, from submit to the client's 'done' event\n",
      ms.size(), ms[ms.size() / 2], ms[ms.size() * 99 / 100]);
}

} // namespace

int bench_flows(const bench_flows_options& options) {
  auto data = options.data;
  if (data.empty()) {
    char made[] = "/tmp/troupe-bench-XXXXXX";
    data = ::mkdtemp(made) ? made : "";
  }
  int status = exit_failure;
  {
    served_head head;
    if (!head.start(options.program, data)) {
      std::fprintf(stderr, "troupe bench: the head did not start\n");
      return exit_unavailable;
    }
    auto admin = key_header(head.port(), "admin");
    std::vector<account> accounts;
    for (int i = 0; i < std::min(options.clients, 16); ++i)
      if (auto made = sign_up(head.port(), admin, i)) {
        made->headers = key_header(head.port(), made->name);
        accounts.push_back(std::move(*made));
      }
    if (accounts.empty() || !wait_for_node(head.port(), accounts[0].headers)) {
      std::fprintf(stderr, "troupe bench: no node took a flow within 30 s\n");
      return exit_unavailable;
    }
    finishes done;
    std::vector<std::thread> streams;
    for (const auto& a : accounts) {
      auto ready = std::make_shared<std::atomic<bool>>(false);
      streams.emplace_back([&, ready, headers = a.headers] { follow(head.port(), headers, done, *ready); });
    }
    done.wait_count(1, std::chrono::seconds(30));
    print_unloaded(head.port(), accounts[0], options.unloaded, done);

    auto before = done.count();
    auto syncs = metric(head.port(), "troupe_journal_syncs_total");
    std::atomic<int> next{0}, refused{0};
    std::vector<std::thread> submitters;
    auto begin = clock::now();
    for (int c = 0; c < options.clients; ++c)
      submitters.emplace_back([&, c] {
        loopback_client client(head.port());
        client.headers = accounts[static_cast<std::size_t>(c) % accounts.size()].headers;
        auto body = flow.dump();
        while (next.fetch_add(1) < options.jobs) {
          auto answer = client.ask("POST", flow_path, body);
          if (!answer || answer->first != 202)
            ++refused;
        }
      });
    for (auto& s : submitters)
      s.join();
    auto submitted = seconds_since(begin);
    auto expected = static_cast<std::size_t>(options.jobs - refused.load());
    auto all = done.wait_count(before + expected, std::chrono::seconds(600));
    auto took = seconds_since(begin);
    auto after = metric(head.port(), "troupe_journal_syncs_total");
    std::printf("%d flows of 4 stages, %d clients, %zu accounts: %.0f submits/s, %.0f flows/s, %.2f syncs/flow\n",
                options.jobs, options.clients, accounts.size(), static_cast<double>(expected) / submitted,
                static_cast<double>(expected) / took, (after - syncs) / static_cast<double>(expected));
    if (refused > 0)
      std::printf("%d submits were refused\n", refused.load());
    if (!all)
      std::printf("not all flows ended within 10 minutes: %zu of %zu\n", done.count() - before, expected);
    status = all && refused == 0 ? exit_ok : exit_failure;
    // The streams end with their head.
    for (auto& s : streams)
      s.detach();
  }
  if (options.data.empty())
    std::filesystem::remove_all(data);
  std::fflush(stdout);
  std::_Exit(status); // the detached streams may still be reading their last bytes
}

} // namespace troupe::app
