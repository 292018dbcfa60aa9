#include "app/bench_head.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

namespace troupe::app {

namespace {

constexpr const char* password = "bench-password";

/// Logs in and makes an API key; the header that carries it, or nothing.
std::string key_header(std::uint16_t port, const std::string& name) {
  loopback_client client(port);
  auto cookie = client.login(name, password);
  if (!cookie)
    return {};
  client.headers = "Cookie: " + *cookie + "\r\nOrigin: http://127.0.0.1\r\n";
  auto key = client.ask_json("POST", "/api/keys", {{"name", "bench"}});
  return key && key->first == 201 ? "Authorization: Bearer " + key->second.value("key", std::string{}) + "\r\n"
                                  : std::string{};
}

std::string read_line(int fd) {
  std::string line;
  for (char c; ::read(fd, &c, 1) == 1 && c != '\n';)
    line += c;
  return line;
}

} // namespace

double seconds_since(bench_clock::time_point begin) {
  return std::chrono::duration<double>(bench_clock::now() - begin).count();
}

double ms_between(bench_clock::time_point begin, bench_clock::time_point end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

bench_head::bench_head(std::string program, std::string data, std::vector<std::string> settings)
  : program_(std::move(program)), data_(std::move(data)), settings_(std::move(settings)) {
  for (const char* no_limit : {"limits.signup_per_address_hour=0", "limits.spend_per_user_minute=0",
                               "limits.per_address_10min=0", "limits.login_per_address_5min=0",
                               "limits.per_key_minute=0", "scheduler.queue_per_account=1000000", "log.level=warn"})
    settings_.insert(settings_.begin(), no_limit);
}

bool bench_head::start() {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0)
    return false;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::vector<std::string> words{program_, "serve", "--data", data_, "--listen", "127.0.0.1:0"};
  for (const auto& setting : settings_) {
    words.emplace_back("--set");
    words.push_back(setting);
  }
  std::vector<char*> argv;
  for (auto& w : words)
    argv.push_back(w.data());
  argv.push_back(nullptr);
  ::setenv("TROUPE_ADMIN_PASSWORD", password, 1);
  auto failed = ::posix_spawn(&pid_, program_.c_str(), &actions, nullptr, argv.data(), environ);
  ::unsetenv("TROUPE_ADMIN_PASSWORD");
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  auto line = failed == 0 ? read_line(out[0]) : std::string{};
  ::close(out[0]);
  auto colon = line.rfind(':');
  port_ = colon == std::string::npos ? 0 : static_cast<std::uint16_t>(std::atoi(line.c_str() + colon + 1));
  return port_ != 0;
}

void bench_head::kill() {
  if (pid_ <= 0)
    return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void bench_head::end_node() const {
  pid_t node = 0;
  std::ifstream(data_ + "/node/lock") >> node;
  std::error_code gone;
  auto program = node > 1 ? std::filesystem::read_symlink("/proc/" + std::to_string(node) + "/exe", gone).string() : "";
  if (program == program_)
    ::kill(node, SIGKILL);
}

bench_head::~bench_head() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  end_node(); // one that an earlier head had started
}

std::string admin_headers(std::uint16_t port) { return key_header(port, "admin"); }

std::vector<std::string> make_accounts(std::uint16_t port, const std::string& admin, int count) {
  std::vector<std::string> out;
  loopback_client client(port);
  for (int i = 0; i < count; ++i) {
    auto name = "bench" + std::to_string(i);
    client.headers.clear();
    auto made = client.ask_json("POST", "/api/signup", {{"username", name}, {"password", password}});
    if (!made || made->first != 201)
      break;
    client.headers = admin;
    auto granted =
        client.ask_json("PUT", "/api/admin/accounts/" + name, {{"tier", "studio"}, {"grant_credits", 10'000'000}});
    auto headers = granted && granted->first == 200 ? key_header(port, name) : std::string{};
    if (headers.empty())
      break;
    out.push_back(std::move(headers));
  }
  return out;
}

int in_parallel(int threads, int count, const std::function<bool(int, int)>& work) {
  std::atomic<int> next{0}, good{0};
  std::vector<std::jthread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      for (int i; (i = next.fetch_add(1)) < count;)
        good += work(t, i) ? 1 : 0;
    });
  all.clear();
  return good;
}

percentiles percentiles_of(std::vector<double> values) {
  if (values.empty())
    return {};
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values[values.size() * 99 / 100], values.back()};
}

std::string make_bench_folder() {
  char made[] = "/tmp/troupe-bench-XXXXXX";
  return ::mkdtemp(made) != nullptr ? made : "";
}

} // namespace troupe::app
