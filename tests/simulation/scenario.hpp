#pragma once

// What a seed stands for: how large a world, what is done in it and when, and which faults there are, how often. Swarm
// testing (Groce et al., ISSTA 2012): each seed draws which kinds of faults and of requests it has at all.

#include "tests/simulation/dice.hpp"
#include "tests/simulation/head.hpp"
#include "tests/simulation/timeline.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::simulation {

enum class act : std::uint8_t {
  // what clients and operators do
  submit,
  resubmit, // with an Idempotency-Key that was used before
  fan_out,
  cancel,
  describe,
  read_books,
  top_up,
  refund,
  reverse,
  reinstate,
  forget,
  repair,
  make_key,
  revoke_key,
  follow, // an event stream begins, or goes on where it was
  unfollow,
  explain,
  drain,
  enable,
  distrust, // a device
  remove_node,
  rotate_node,
  node_leaves,
  reprice,
  reload, // workflow definitions
  // faults
  head_crash,
  node_crash,
  node_freeze,
  line_cut,
  line_slow,
  line_noisy,
  disk_full,
  disk_failing,
  disk_slow,
  blob_corrupt,
  blob_lost,
  device_failing,
  device_slow,
  clock_jump,
  stall,
  count_
};
inline constexpr act first_fault = act::head_crash;
const char* name_of(act what);

struct step {
  micros at = 0;
  act what = act::submit;
  std::uint64_t seed = 0;
};

struct scenario {
  std::uint64_t seed = 0;
  std::size_t accounts = 1, nodes = 1;
  turns order = turns::first_come;
  micros duration = minute;
  std::int64_t passivate_after_ms = 300'000;
  std::int64_t spoilt = 0;                     // permille of the stages that cannot succeed
  std::int64_t urgencies = 0, speculative = 0; // permille of the stages of another class; that may run twice
  std::int64_t work_ms = 1000;
  std::vector<step> steps; // in order of time

  static scenario draw(std::uint64_t seed);
  /// Only these of its steps, by their number.
  scenario with(const std::vector<std::size_t>& kept) const;
  std::string text() const;
};

struct verdict {
  std::string complaint; // empty: none
  std::uint64_t hash = 0;
  micros simulated = 0;
  std::uint64_t events = 0, jobs = 0, attempts = 0, came_back = 0, transfers = 0, accepted = 0, heads = 0, frames = 0;
  std::vector<std::string> story;
};
/// Runs it to its end, or to the first complaint.
verdict run(const scenario& what, bool told);

} // namespace troupe::simulation
