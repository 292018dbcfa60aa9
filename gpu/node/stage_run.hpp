#pragma once

// One attempt from its inputs to its report: fetch what is missing, run the engine in a folder of its own, hash the
// outputs, bring them to the head.

#include "gpu/node/artifact_cache.hpp"
#include "gpu/node/attempt.hpp"
#include "gpu/node/node_transfers.hpp"
#include "gpu/node/unacknowledged.hpp"

#include <filesystem>
#include <optional>

namespace troupe::node {

struct run_place {
  engines::engine& engine;
  bool preview = false;         // the operation is an embedded stand-in
  std::filesystem::path folder; // exists and is empty
  unsigned threads = 1;
  artifact_cache& cache;
  node_transfers& transfers;
};

/// Blocks until it is over. Nothing when the attempt was abandoned. Never throws.
std::optional<report> run_stage(attempt& what, const run_place& place);

/// A failure of this attempt, in the wire's words.
wire::failed failed_report(const attempt& what, std::string fault, std::string message, std::string artifact = {});

} // namespace troupe::node
