#pragma once

// A machine's agent: tells the head what this machine can do, runs what the head assigns, and outlives both lost
// connections and lost heads.

#include "gpu/engines/engine.hpp"
#include "gpu/link/node_link.hpp"
#include "gpu/node/attempt.hpp"
#include "gpu/node/offer.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace troupe::node {

struct agent_options {
  std::string name;                        // as the operator calls it; unique in the cluster
  std::vector<std::string> head_endpoints; // tried in turn
  std::string head_public_key;
  link::key_pair keys;
  std::filesystem::path folder; // cache/, work/, unacknowledged/, lock
  std::uint64_t cache_bytes_max = 20ull << 30;
  std::uint32_t slots = 0;                  // of cpu0; 0: as many as hardware threads
  std::string cuda_driver = "libcuda.so.1"; // that CUDA devices are found by; empty: none are looked for
  offer offered;                            // of what is found here
  std::uint32_t lease_ms = 30'000;          // until the head says another
  std::uint32_t exit_when_orphaned_ms = 0;  // run() ends when no head was heard for so long; 0: never
  std::int64_t stuck_ms = 10'000; // an engine that was told to stop and did not ends the process after so long
  int nice = 5;
  report_limits reports;
  std::vector<engines::engine_ptr> engines;
};

enum class stop_reason { asked, orphaned };

class agent {
public:
  /// Takes the folder, probes devices, asks engines what they can do, and begins to dial. Errors: `locked` (another
  /// node has the folder), `malformed` (a key or an address), `configuration` (an offer of what is not there), `io`.
  static result<std::unique_ptr<agent>> open(agent_options options);
  virtual ~agent() = default;
  /// Looks after time-outs and the lease until stop(); then breaks off what runs and says goodbye.
  virtual stop_reason run() = 0;
  /// From any thread, and from a signal handler.
  virtual void stop() = 0;
};

} // namespace troupe::node
