#pragma once

// Whose turn it is. Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996) over
// accounts: each account has a virtual time, the device time it was given divided by its weight, and the lowest goes
// first. It is one time over all buckets and jobs, so splitting work gains nothing. Within an account and a bucket:
// first come, first served.
//
// An account with stages in a bucket has an entry there. A bucket keeps its entries in order of key, where
//   key = min(max(account's virtual time, floor), ceiling);
// floor is the bucket's clock when the account joined (idling earns nothing), ceiling bounds what use elsewhere may
// cost it here. Keys only rise, but for corrections, so the order may hold older, lower ones: they are mended when they
// come up.

#include "actors/scheduler/flat_index.hpp"
#include "actors/scheduler/name_table.hpp"
#include "actors/scheduler/scheduler_events.hpp"
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
  virtual_time peak = 0; // the highest time that a key of its entries may have been made of
  std::uint32_t weight = 1;
  std::uint32_t waiting = 0;
  std::uint32_t running = 0;
  std::vector<index> entries;
  timestamp idle_since = 0;
  std::string id;
};

struct alignas(64) entry_record { // one cache line, as there may be half a million
  index account = none;
  index bucket = none;
  index first = none, last = none; // stages
  std::uint32_t count = 0;
  std::uint32_t first_number = 0; // of the first stage; for positions
  std::uint32_t last_number = 0;
  virtual_time floor = 0;
  virtual_time ceiling = 0;
  timestamp since = 0;              // last served here, or joined
  index older = none, newer = none; // by `since`, in the bucket
  index account_position = none;    // in its account's list
};

struct bucket_record {
  requirement wanted;
  turn_order turns;                   // of entries that are not parked
  index oldest = none, newest = none; // the same entries, by `since`
  std::uint32_t waiting = 0;
  std::uint64_t weights = 0; // of accounts with an entry, parked ones too
  std::uint32_t running = 0;
  virtual_time clock = 0; // the highest start it was served at
  index reserved = none;  // a device held free for it
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
  virtual_time time_of(index account) const { return times_[account]; }
  /// A stage of the account started or ended. True when it was at its cap before this end.
  void started(index account) { ++accounts_[account].running; }
  bool ended(index account, timestamp now);
  bool at_cap(index account) const { return accounts_[account].running >= cap_; }
  /// Corrects what an account was charged for a stage of `bucket`: more, or back where `amount` is negative.
  void correct(index account, index bucket, virtual_time amount);
  /// Forgets accounts that have been idle since before `before`; looks at a thousand at most.
  void forget_idle(timestamp before);

  // -- buckets
  index find_bucket(const requirement& wanted) const;
  index add_bucket(requirement wanted);
  void remove_bucket(index bucket);
  bucket_record& bucket_at(index bucket) { return buckets_[bucket]; }
  const bucket_record& bucket_at(index bucket) const { return buckets_[bucket]; }
  const slab<bucket_record>& buckets() const { return buckets_; }

  // -- stages
  /// Puts a stage in its account's line in the bucket. `clock`: the bucket's virtual time.
  void push(index stage, index account, index bucket, bool front, virtual_time clock, timestamp now);
  void remove(index stage);
  /// The entry whose turn it is; none when all are at their cap. Parks those.
  index head(index bucket);
  /// The entry that has waited longest; none as above.
  index oldest(index bucket);
  virtual_time key_of(index entry) const;
  const entry_record& entry_at(index entry) const { return entries_[entry]; }
  index entry_of(index stage) const { return links_[stage].entry; }
  index find_entry(index account, index bucket) const;
  /// False: it is parked, its account is at the cap.
  bool in_turn(index entry) const { return places_[entry].at != none; }
  /// The first stage of the entry starts at `now`: it leaves the line and its account is charged `amount`.
  void serve(index entry, virtual_time amount, timestamp now);
  /// Brings parked entries of an account that is under its cap back, and appends their buckets.
  void unpark(index account, timestamp now, std::vector<index>& buckets);
  /// How many stages of the same account and bucket go first.
  std::uint32_t ahead_in_line(index stage) const;

  void check_invariants() const;

private:
  struct link {
    index next = none, previous = none, entry = none;
    std::uint32_t number = 0;
  };
  struct requirement_hash {
    std::size_t operator()(const requirement& wanted) const noexcept;
  };

  index join(index account, index bucket, virtual_time clock, timestamp now);
  void leave(index entry);
  void take_turn(index entry, timestamp now);
  void park(index entry);
  virtual_time key_now(const turn& t) const;
  void append_aged(index entry, timestamp now);
  void unlink_aged(index entry);
  void mend(index entry);
  void mend_all(index account);

  std::uint32_t cap_;
  virtual_time debt_max_;
  std::uint64_t order_ = 0;
  index sweep_ = 0;
  slab<account_record> accounts_;
  std::vector<virtual_time> times_; // by account; apart from the rest, as keys are made of them many times a decision
  flat_index account_by_id_;
  slab<bucket_record> buckets_;
  std::unordered_map<requirement, index, requirement_hash> bucket_numbers_;
  slab<entry_record> entries_;
  turn_places places_;      // by entry
  flat_index by_account_;   // and bucket: entries
  std::vector<link> links_; // by stage
};

} // namespace troupe::scheduling
