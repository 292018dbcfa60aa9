#pragma once

// What the benches that need a whole studio share: a head of their own, accounts on it, and percentiles.

#include "app/loopback_client.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace troupe::app {

using bench_clock = std::chrono::steady_clock;
double seconds_since(bench_clock::time_point begin);
double ms_between(bench_clock::time_point begin, bench_clock::time_point end);

/// A `troupe serve` on a free port, without the limits that would get in a bench's way. Stopped when destroyed.
class bench_head {
public:
  /// `settings` are key=value, as for --set.
  bench_head(std::string program, std::string data, std::vector<std::string> settings);
  ~bench_head();
  bench_head(const bench_head&) = delete;
  bench_head& operator=(const bench_head&) = delete;

  /// Returns when it says that it listens; false when it did not start.
  bool start();
  /// SIGKILL; returns when it is gone. Its node lives on.
  void kill();
  std::uint16_t port() const { return port_; }
  pid_t pid() const { return pid_; }
  /// Ends the node that works in the data directory, should one live.
  void end_node() const;

private:
  std::string program_, data_;
  std::vector<std::string> settings_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

/// Headers with an API key of the admin.
std::string admin_headers(std::uint16_t port);
/// Headers with API keys of `count` new accounts that have credits for all that comes; fewer when the head refuses.
std::vector<std::string> make_accounts(std::uint16_t port, const std::string& admin, int count);

/// Runs `work(thread, i)` for each i below `count`, on `threads` threads. Returns how many said true.
int in_parallel(int threads, int count, const std::function<bool(int thread, int i)>& work);

/// Of what was measured; both 0 of nothing.
struct percentiles {
  double p50 = 0, p99 = 0, worst = 0;
};
percentiles percentiles_of(std::vector<double> values);

/// A new folder under /tmp; empty when there is none to be had.
std::string make_bench_folder();
} // namespace troupe::app
