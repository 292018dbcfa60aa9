#pragma once

// What of the nodes' words is let in to the actors: how much they have not dealt with yet is bounded, for each node by
// its key. From any thread.

#include "gpu/link/head_link.hpp"

#include <mutex>
#include <string>
#include <unordered_map>

namespace troupe::link {

enum class admitted {
  yes,      // and counts until it is handled
  no,       // what may be lost is, while the actors are behind
  too_much, // they are far behind, and this may not be lost: its peer is to be cut
};

class admission {
public:
  explicit admission(admission_limits limits = {}) : limits_(limits) {}

  /// `bytes`: of the frame that said it.
  admitted admit(const std::string& public_key, const wire::from_node& what, std::size_t bytes);
  void handled(const std::string& public_key, std::size_t bytes);

private:
  struct waiting {
    std::size_t messages = 0, bytes = 0;
  };

  admission_limits limits_;
  std::mutex mutex_;
  std::unordered_map<std::string, waiting> waiting_;
};

} // namespace troupe::link
