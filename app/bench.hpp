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

} // namespace troupe::app
