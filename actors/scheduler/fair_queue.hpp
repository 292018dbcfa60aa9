#pragma once

// Whose turn it is. Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996) over
// accounts: each account has a virtual time, the device time it was given divided by its weight, and the lowest goes
// first. It is one time over all buckets and jobs, so splitting work gains nothing. Within an account and a bucket:
// first come, first served.
//
// An account with stages in a bucket has a line there. A bucket keeps its lines in order of key, where
//   key = min(max(account's virtual time, floor), ceiling);
// floor is the bucket's clock when the account joined (idling earns nothing), ceiling bounds what use elsewhere may
// cost it here. Keys only rise: what an account gets back is taken off what its next stages cost, and only where that
// is much are its turns taken anew. So a bucket's order may hold older, lower keys, which are mended when they come up,
// and nothing ever has to be looked for in it.

#include "actors/scheduler/flat_index.hpp"
#include "actors/scheduler/name_table.hpp"
#include "actors/scheduler/scheduler_events.hpp"
#include "actors/scheduler/stage_record.hpp"
#include "actors/scheduler/turn_order.hpp"

#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::scheduling {

/// What stages of one bucket have in common. Stages that exclude devices lie in buckets of their own.
struct requirement {
  index kind = none;
  index model = none;
  std::uint32_t vram_mib = 0;
  priority_class priority = priority_class::standard;
  std::vector<std::string> excluded; // device ids, sorted
  friend bool operator==(const requirement&, const requirement&) = default;
};

struct account_record {
  std::uint32_t weight = 1;
  std::uint32_t waiting = 0;
  std::uint32_t running = 0;
  virtual_time owed = 0; // to be taken off what its next stages cost
  std::vector<index> lines;
  timestamp idle_since = 0;
  std::string id;
};

inline constexpr timestamp never = -1;

/// The stages of one account in one bucket.
struct alignas(64) line_record { // one cache line, as there may be half a million
  index account = none;
  index bucket = none;
  index first = none, last = none; // stages
  std::uint32_t count : 31 = 0;
  std::uint32_t parked : 1 = 0;  // its account is at the cap, and it was passed over
  index account_position = none; // in its account's list
  ticket_number ticket = 0;      // of the turn that counts; 0: it has none
  virtual_time floor = 0;
  virtual_time ceiling = 0;
  virtual_time owed = 0;   // to be taken off what the next stage raises the floor by
  timestamp since = never; // last served here, or joined
};
static_assert(sizeof(line_record) == 64);

/// Lines by how long they have waited: each as it was when it joined or was served; only the last one of a line counts.
struct aged_line {
  timestamp since = 0;
  index line = none;
};

struct bucket_record {
  requirement wanted;
  index work = none; // the kind and model as run_times knows them
  turn_order turns;
  std::vector<aged_line> aged; // from aged_first on
  std::size_t aged_first = 0;
  std::uint32_t in_turn = 0; // lines with a turn
  std::uint32_t lines = 0;
  std::uint32_t waiting = 0;
  std::uint64_t weights = 0; // of accounts with a line, parked ones too
  std::uint32_t running = 0;
  virtual_time clock = 0; // the highest start it was served at
  index reserved = none;  // a device held free for it
};

/// What a device that has room asks of every bucket, close together: there are many, and one is chosen.
struct bucket_front {
  virtual_time bound = 0; // no line's key is lower
  std::uint32_t vram_mib = 0;
  index model = none;
  priority_class priority = priority_class::standard;
  bool empty = true;  // no line has a turn
  bool picky = false; // its stages exclude devices
};

class fair_queue {
public:
  explicit fair_queue(std::uint32_t cap, virtual_time debt_max) : cap_(cap), debt_max_(debt_max) {}

  // -- accounts
  /// Finds or makes the account; its weight is the one last told.
  index account(const std::string& id, std::uint32_t weight);
  index find_account(const std::string& id) const;
  const account_record& account_at(index account) const { return accounts_[account]; }
  const slab<account_record>& accounts() const { return accounts_; }
  virtual_time time_of(index account) const { return times_[account] - accounts_[account].owed; }
  /// A stage of the account started or ended. True when it was at its cap before this end.
  void started(index account) { ++accounts_[account].running; }
  bool ended(index account, timestamp now);
  bool at_cap(index account) const { return accounts_[account].running >= cap_; }
  /// Corrects what an account was charged for a stage of `bucket`: more, or back where `amount` is negative. `line`:
  /// the one it was taken from, or none.
  void correct(index account, index bucket, index line, virtual_time amount);
  /// Forgets accounts that have been idle since before `before`; looks at a thousand at most.
  void forget_idle(timestamp before);

  // -- buckets
  index find_bucket(const requirement& wanted) const;
  index add_bucket(requirement wanted);
  void remove_bucket(index bucket);
  bucket_record& bucket_at(index bucket) { return buckets_[bucket]; }
  const bucket_record& bucket_at(index bucket) const { return buckets_[bucket]; }
  const slab<bucket_record>& buckets() const { return buckets_; }
  const bucket_front& front_of(index bucket) const { return fronts_[bucket]; }

  // -- stages
  slab<stage_record>& stages() { return stages_; }
  const slab<stage_record>& stages() const { return stages_; }
  /// Puts a stage in its account's line in the bucket. `clock`: the bucket's virtual time.
  void push(index stage, index account, index bucket, bool front, virtual_time clock, timestamp now);
  void remove(index stage);
  /// The line whose turn it is; none when all are at their cap. Parks those.
  index head(index bucket);
  /// The line that has waited longest, if since `latest` or before; none otherwise.
  index oldest(index bucket, timestamp latest);
  virtual_time key_of(index line) const;
  const line_record& line_at(index line) const { return lines_[line]; }
  /// Asks for the memory of a line that will be looked at soon.
  void expect(index line) const {
    if (line != none)
      prefetch(&lines_[line]);
  }
  /// The first stage of the line starts at `now`: it leaves the line and its account is charged `amount`.
  void serve(index line, virtual_time amount, timestamp now);
  /// Brings parked lines of an account that is under its cap back, and appends their buckets.
  void unpark(index account, timestamp now, std::vector<index>& buckets);
  /// How many stages of the same account and bucket go first.
  std::uint32_t ahead_in_line(index stage) const;
  /// Whether the line is the next of its bucket, as far as one can say without mending.
  bool is_next(index line) const;

  void check_invariants() const;

private:
  struct requirement_hash {
    std::size_t operator()(const requirement& wanted) const noexcept;
  };

  index find_line(index account, index bucket) const;
  index join(index account, index bucket, virtual_time clock, timestamp now);
  void leave(index line);
  void take_turn(index line);
  void lose_turn(index line);
  void append_aged(index line, timestamp now);
  void sweep_aged(index bucket);
  void check_line(index line) const;
  void check_bucket(index bucket) const;
  bool counts(const aged_line& aged, index bucket) const;
  bool counts(const turn& t) const { return lines_[t.line].ticket == t.ticket; }
  virtual_time key_now(const turn& t) const;
  void show_front(index bucket);
  void settle_debt(index account);

  std::uint32_t cap_;
  virtual_time debt_max_;
  ticket_number tickets_ = 0;
  index sweep_ = 0;
  slab<account_record> accounts_;
  std::vector<virtual_time> times_; // by account; apart from the rest, as keys are made of them many times a decision
  flat_index account_by_id_;
  slab<bucket_record> buckets_;
  std::vector<bucket_front> fronts_; // by bucket
  std::unordered_map<requirement, index, requirement_hash> bucket_numbers_;
  slab<line_record> lines_;
  flat_index by_account_; // and bucket: lines
  slab<stage_record> stages_;
};

} // namespace troupe::scheduling
