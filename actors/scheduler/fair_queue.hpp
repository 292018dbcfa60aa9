#pragma once

// Whose turn it is. Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996) over
// accounts: each account has a virtual time, the device time it was given divided by its weight, and the lowest goes
// first. Within an account and a bucket: first come, first served.
//
// The time is one for each pool, that is for all devices that offer a kind; what an account is given on a device counts
// in each pool that the device is of. So splitting work over jobs, models or kinds that want the same devices gains
// nothing, and what is used elsewhere costs nothing here.
//
// Pools that share some devices only are compared there by their times. One that could not keep up, as the other was
// served on devices of its own, goes first; but what it is behind by is worth a minute at most: the pool as a whole,
// each of its accounts by as much, is shifted after the other (its offset; keep_up()). Else who comes to where the
// other had its own devices, and has them no more, would wait for as long as those were at work.
//
// An account with stages in a bucket has a line there. A pool keeps its accounts in order of time, each with the set of
// the buckets that it has lines in (account_order.hpp), so that the first is found that has work for a device. Times
// only rise: what an account gets back is taken off what its next stages cost, and only where that is much does it
// take another place at once. So the order may hold older, lower times, which are mended when they come up. There is
// one such order for each 64 buckets of a pool: a shelf.

#include "actors/scheduler/account_order.hpp"
#include "actors/scheduler/flat_index.hpp"
#include "actors/scheduler/name_table.hpp"
#include "actors/scheduler/scheduler_events.hpp"
#include "actors/scheduler/stage_record.hpp"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::scheduling {

/// What stages of one bucket have in common. Stages that exclude devices lie in buckets of their own.
struct requirement {
  index kind = none;
  index model = none;
  std::uint32_t vram_mib = 0; // at least: more where the device's class needs more for the kind
  priority_class priority = priority_class::standard;
  std::vector<std::string> excluded; // device ids, sorted
  friend bool operator==(const requirement&, const requirement&) = default;
};

struct account_record {
  std::uint32_t weight = 1;
  std::uint32_t waiting = 0;
  std::uint32_t running = 0;
  std::vector<index> lines;
  timestamp idle_since = 0;
  std::string id;
};

/// What an account was given in one pool.
struct pool_use {
  virtual_time time = 0;
  virtual_time running = 0; // of it, for what has not ended: how much that will have been is only thought
  virtual_time owed = 0;    // to be taken off what its next stages cost
  virtual_time turn_at = 0; // its time when its next line in turn was served last, loaded model or not
  std::uint32_t lines = 0;  // it has there
  index served_from = 0;    // the shelf that it was last served from
};

/// Where an account is in the order of one shelf.
struct shelf_use {
  std::uint64_t work = 0; // a bit for each bucket that it has a line in
  virtual_time key = 0;
  ticket_number ticket = 0; // 0: it is not there, as it has no line or is at its cap
  std::uint32_t served = 0; // the bit it was last served by
};

inline constexpr timestamp never = -1;

/// The stages of one account in one bucket.
struct alignas(64) line_record { // one cache line, as there may be half a million
  index account = none;
  index bucket = none;
  index first = none, last = none; // stages
  std::uint32_t count : 31 = 0;
  std::uint32_t parked : 1 = 0;  // its account was at the cap when it was looked at for how long it has waited
  index account_position = none; // in its account's list
  timestamp since = never;       // last served here, or joined
};
static_assert(sizeof(line_record) == 64);

/// Lines by how long they have waited: each as it was when it joined or was served; only the last one of a line counts.
struct aged_line {
  timestamp since = 0;
  index line = none;
};

struct bucket_record {
  requirement wanted;
  index work = none;           // the kind and model as run_times knows them
  std::vector<aged_line> aged; // from aged_first on
  std::size_t aged_first = 0;
  std::uint32_t lines = 0;
  std::uint32_t waiting = 0;
  std::uint64_t weights = 0; // of accounts with a line, parked ones too
  std::uint32_t running = 0;
  index reserved = none;         // a device held free for it
  timestamp passed_over = never; // since when others have begun in its turn, where it did not fit beside what runs
};

/// What a device that has room asks of every bucket, close together: there are many, and one is chosen.
struct bucket_front {
  std::uint32_t vram_mib = 0; // at least
  index kind = none;
  index model = none;
  index pool = none;
  index shelf = none;
  std::uint8_t bit = 0; // of the shelf's
  priority_class priority = priority_class::standard;
  bool empty = true;  // no account has a line
  bool picky = false; // its stages exclude devices
  std::uint64_t work() const { return std::uint64_t{1} << bit; }
};

class fair_queue {
public:
  explicit fair_queue(std::uint32_t cap) : cap_(cap) {}

  // -- accounts
  /// Finds or makes the account; its weight is the one last told.
  index account(const std::string& id, std::uint32_t weight);
  index find_account(const std::string& id) const;
  const account_record& account_at(index account) const { return accounts_[account]; }
  const slab<account_record>& accounts() const { return accounts_; }
  virtual_time time_of(index account, index pool) const { return use(account, pool).time - use(account, pool).owed; }
  /// The same, such that it can be compared with that of another pool.
  virtual_time compared_time_of(index account, index pool) const {
    return time_of(account, pool) + clocks_[pool].offset;
  }
  /// How much the account was given in the pool, by weight, since note_turn().
  virtual_time since_turn(index account, index pool) const { return time(account, pool) - use(account, pool).turn_at; }
  void note_turn(index account, index pool) { use(account, pool).turn_at = time(account, pool); }
  /// What the account was given in the pool and has had.
  virtual_time settled(index account, index pool) const { return time_of(account, pool) - use(account, pool).running; }
  /// A stage of the account started or ended. True when it was at its cap before this end.
  void started(index account) { ++accounts_[account].running; }
  bool ended(index account, timestamp now);
  bool at_cap(index account) const { return accounts_[account].running >= cap_; }
  /// A stage of the account that was not served here runs, and is charged in these pools.
  void charge(index account, std::span<const index> pools, virtual_time amount);
  /// A stage for which the account was charged so much in these pools, or 0, has ended, and cost it `due`.
  void settle(index account, std::span<const index> pools, virtual_time charged, virtual_time due);
  /// Forgets accounts that have been idle since before `before`; looks at a thousand at most.
  void forget_idle(timestamp before);

  // -- pools and buckets
  /// One in which accounts were given nothing yet, or as much as in `like`.
  index add_pool(index like = none);
  /// The account is served in its turn on devices of these pools: who comes joins there no earlier than that.
  void advance(index account, std::span<const index> pools);
  /// Of these pools, which share devices, none is further behind from now on than it may be.
  void keep_up(std::span<const index> pools);
  /// From now on the bucket is of this pool.
  void move(index bucket, index pool);
  std::size_t shelves() const { return shelves_.size(); }
  index find_bucket(const requirement& wanted) const;
  index add_bucket(requirement wanted, index pool);
  void remove_bucket(index bucket);
  bucket_record& bucket_at(index bucket) { return buckets_[bucket]; }
  const bucket_record& bucket_at(index bucket) const { return buckets_[bucket]; }
  const slab<bucket_record>& buckets() const { return buckets_; }
  const bucket_front& front_of(index bucket) const { return fronts_[bucket]; }

  // -- stages
  slab<stage_record>& stages() { return stages_; }
  const slab<stage_record>& stages() const { return stages_; }
  /// Puts a stage in its account's line in the bucket.
  void push(index stage, index account, index bucket, bool front, timestamp now);
  void remove(index stage);
  /// Whose turn it is on the shelf, of those that have a line in one of these buckets; nobody where all are at their
  /// cap. Keys are such that those of different pools can be compared.
  std::optional<account_order::entry> first(index shelf, std::uint64_t work);
  bool is_empty(index shelf) const { return shelves_[shelf].order.empty(); }
  /// No account's time is lower; there must be one.
  virtual_time bound(index shelf) const { return shelves_[shelf].order.front().key + offset_of(shelf); }
  /// Of the shelves that an account waits on at the same time: how many of them come first, at most.
  std::size_t turns_until(index account, index shelf) const;
  /// The account's line in one of these buckets, in turn.
  index line_of(index account, index shelf, std::uint64_t work) const;
  /// The line whose turn it is; none when all are at their cap.
  index head(index bucket);
  /// The line that has waited longest, if since `latest` or before; none otherwise.
  index oldest(index bucket, timestamp latest);
  virtual_time key_of(index line) const {
    auto pool = fronts_[lines_[line].bucket].pool;
    return time(lines_[line].account, pool) + clocks_[pool].offset;
  }
  const line_record& line_at(index line) const { return lines_[line]; }
  /// The first stage of the line starts at `now`: it leaves the line and its account is charged `amount` in these
  /// pools.
  void serve(index line, std::span<const index> pools, virtual_time amount, timestamp now);
  /// Brings parked lines of an account that is under its cap back, and appends their buckets.
  void unpark(index account, timestamp now, std::vector<index>& buckets);
  /// The account's line that was served longest ago, or came first, of those in such buckets; none if there is none.
  template <class Is>
  index oldest_of(index account, Is is) const;
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
  index join(index account, index bucket, timestamp now);
  void raise(pool_use& own, virtual_time earliest);
  void leave(index line);
  void take_bit(index bucket);
  void give_bit(index bucket);
  void enter(const line_record& line);
  void exit(const line_record& line);
  index add_shelf();
  void file(index account, index shelf);
  void insert(index account, index shelf, virtual_time key);
  void take_out(index account, index shelf);
  void append_aged(index line, timestamp now);
  void sweep_aged(index bucket);
  void check_line(index line) const;
  void check_bucket(index bucket) const;
  void check_shelf(index shelf) const;
  bool counts(const aged_line& aged, index bucket) const;
  pool_use& use(index account, index pool) { return uses_[account * pools_ + pool]; }
  const pool_use& use(index account, index pool) const { return uses_[account * pools_ + pool]; }
  shelf_use& on_shelf(index account, index shelf) { return on_shelves_[account * shelves_.size() + shelf]; }
  const shelf_use& on_shelf(index account, index shelf) const { return on_shelves_[account * shelves_.size() + shelf]; }
  virtual_time time(index account, index pool) const { return use(account, pool).time; }
  virtual_time offset_of(index shelf) const { return clocks_[shelves_[shelf].pool].offset; }
  void bring(index account, index pool, virtual_time amount);
  void settle_debt(index account);

  std::uint32_t cap_;
  ticket_number tickets_ = 0;
  index sweep_ = 0;
  slab<account_record> accounts_;
  std::size_t pools_ = 0;
  std::vector<pool_use> uses_; // by account and pool
  struct pool_clock {
    virtual_time time = 0;   // the highest that an account had settled when it was served in its turn
    virtual_time given = 0;  // the highest time that an account was brought to
    index account = none;    // which: what it gets back it never had
    virtual_time offset = 0; // by which its times count as later where it is compared with others
  };
  std::vector<pool_clock> clocks_; // by pool
  struct shelf_record {
    index pool = none;
    std::uint64_t taken = 0;
    std::array<index, 64> buckets{}; // by bit
    account_order order;
  };
  std::vector<shelf_record> shelves_;
  std::vector<shelf_use> on_shelves_; // by account and shelf
  flat_index account_by_id_;
  slab<bucket_record> buckets_;
  std::vector<bucket_front> fronts_; // by bucket
  std::unordered_map<requirement, index, requirement_hash> bucket_numbers_;
  slab<line_record> lines_;
  flat_index by_account_; // and bucket: lines
  slab<stage_record> stages_;
};

template <class Is>
index fair_queue::oldest_of(index account, Is is) const {
  index best = none;
  for (auto at : accounts_[account].lines)
    if (is(lines_[at].bucket) && (best == none || lines_[at].since < lines_[best].since))
      best = at;
  return best;
}

} // namespace troupe::scheduling
