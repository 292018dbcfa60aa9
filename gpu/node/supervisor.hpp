#pragma once

// Keeps a child process alive: starts it, starts it again when it ends, ever later while it keeps ending. The child
// outlives the supervisor's own death on purpose: a local node goes on working while its head is started anew, and is
// taken back by the next head. A second child waits while it finds the node's folder taken (`--wait-for-folder`).

#include "common/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::node {

struct supervisor_options {
  std::vector<std::string> argv; // argv[0] is the program's path
  std::int64_t backoff_ms = 250; // before the second start, doubling
  std::int64_t backoff_max_ms = 30'000;
  std::int64_t settled_ms = 60'000; // a child that lived so long starts the backoff over
  std::int64_t grace_ms = 12'000;   // between SIGTERM and SIGKILL
  /// How a child ended: an exit status, or minus the signal; false: no other one is started. On the supervisor's
  /// thread.
  std::function<bool(int status)> on_exit;
};

struct supervisor_state {
  int pid = 0; // 0: none runs now
  std::uint64_t starts = 0;
  int last_status = 0; // an exit status, or minus the signal
};

class supervisor {
public:
  /// Errors: `malformed` (no program), `io`. That the program does not start is told by state() and the log, and tried
  /// again.
  static result<std::unique_ptr<supervisor>> start(supervisor_options options);
  /// As stop().
  virtual ~supervisor() = default;
  virtual supervisor_state state() const = 0;
  /// Ends the child, SIGKILL after the grace, and starts none any more. Returns when it is gone. Thread-safe, can be
  /// called again.
  virtual void stop() = 0;
};

} // namespace troupe::node
