#pragma once

#include <string>

namespace troupe::app {

struct bench_flows_options {
  std::string program; // path of this binary: it starts a head of its own
  std::string data;
  int jobs = 20'000;
  int clients = 32;
  int unloaded = 500;
};
/// `troupe bench flows`: prints submits/s, flows/s, unloaded p50 and p99, and syncs per flow.
int bench_flows(const bench_flows_options& options);

struct bench_ledger_options {
  std::string program; // path of this binary: the parts that measure memory run in processes of their own
  std::string data;
  std::string part;         // empty: all, each in a process of its own
  int seconds = 5;          // of each load
  int accounts = 1'000'000; // on disk
  int active = 1'000;
};
/// `troupe bench ledger`: durable holds and captures a second over many accounts and on one; start and memory with many
/// accounts on disk.
int bench_ledger(const bench_ledger_options& options);

} // namespace troupe::app
