#pragma once

#include <string>

namespace troupe::app {

struct bench_flows_options {
  std::string program; // path of this binary: it starts a head of its own
  std::string data;
  int jobs = 20'000;
  int clients = 32;
  int unloaded = 500;
  int submits = 20'000; // while every slot is busy
  int submitters = 128; // connections for those
};
/// `troupe bench flows`: prints submits/s, flows/s, unloaded p50 and p99, syncs per flow, then submits/s of jobs that
/// only wait, and last how soon an idle node has an order, unloaded, on a head of its own.
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

struct bench_recovery_options {
  std::string program; // path of this binary
  std::string data;
  int jobs = 100'000; // that wait when the head is killed
  int kills = 3;
  int stage_ms = 60'000; // how long a stage runs: over the kill
};
/// `troupe bench recovery`: how soon a head that was killed serves again, and whether what ran goes on.
int bench_recovery(const bench_recovery_options& options);

struct bench_nodes_options {
  std::string program; // path of this binary
  std::string data;
  int nodes = 1'000;
  int devices = 8; // of each
  int rate = 100;  // flows of four stages a second
  int seconds = 20;
};
/// `troupe bench nodes`: what the API feels of many nodes, simulated in this process over real sockets.
int bench_nodes(const bench_nodes_options& options);

} // namespace troupe::app
