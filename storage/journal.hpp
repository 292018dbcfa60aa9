#pragma once

// The journal: the one writer of everything durable. Actors hand it batches; one thread gathers what has come, writes
// it as one RocksDB batch with one sync, and then tells each. Behind this interface a replicated log can stand one day:
// append in order with a sequence check, replay, follow.

#include "common/ids.hpp"
#include "common/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::storage {

/// The tables; each is a key prefix of one column family. Keys and values are described in storage/README.md.
enum class table : std::uint8_t {
  meta = 1,         // single records of the whole installation (RocksDB's own numbers are apart, in its default family)
  usernames = 2,    // lower-case user name → account
  emails = 3,       // lower-case address → account
  accounts = 4,     // account → summary for views
  api_keys = 5,     // keyed hash → account, key id
  sessions = 6,     // keyed hash → account, expiry
  jobs = 7,         // job → summary for views
  account_jobs = 8, // account / generation number → job
  open_jobs = 9,    // job → account (and its stages that wait, before the first began): what a start takes up again
  files = 10,       // account / file name → artifact
  blob_uses = 11,   // sha256 / account / file name → empty: why a blob is kept
  definitions = 12, // content hash → workflow definition
  nodes = 13,       // node → public key, name, revoked
  idempotency = 20, // account / keyed hash of an Idempotency-Key → what was first asked and answered
  open_holds = 21,  // account / job → what it held at first, and when: what the sweep for orphans looks through
  references = 22,  // account / kind / reference → the transfer's id: topups, reversals and refunds that were made
  subscriptions = 30,    // account → the subscription for views
  subscription_due = 31, // time (16 hex digits) / account → account: whose subscription time changes, and when
  payment_events = 32,   // provider's event id → when it was taken, and its type
  payments = 33,         // provider's payment id → account, credits: whom a refund is of
  customers = 34,        // provider's customer id → account
  rate_windows = 35,     // counter → what was counted, and until when
  early_reversals = 36,  // payment / reference of what paid it back → the event, which came before the payment's
  customer_of = 37,      // account → provider, and the account's customer id there
  account_tokens = 40,   // keyed hash of a mailed token → account, kind, expiry
  avatars = 41,          // account → the picture, a JPEG as it is
  audit = 42,            // time, random → a security or admin event; only ever added to
  account_audit = 43,    // account / key in `audit` → empty
  admins = 46,           // account → empty: the admins that can act
};

/// A row that becomes durable in the same instant as the batch it is in.
struct row {
  table in = table::meta;
  std::string key;
  std::optional<std::string> value; // none: the row is deleted
  bool only_if_absent = false;      // the batch is refused with `exists` when the row is there
};

/// Events of one persistent actor, in order. `first_seq` counts from 1 and must follow what is written: a second
/// activation of the same actor can never write.
struct append {
  std::string actor; // kind/id; not empty, no 0x00, at most 1024 bytes, or the batch is refused with `conflict`
  std::uint64_t first_seq = 1;
  std::vector<std::string> events; // packed, see common/json.hpp
};

/// An event of an account's own log, which SSE, webhooks and status read. Ids are dense from 1 for each account, and
/// checked like an actor's.
struct feed_append {
  account_id account;
  std::uint64_t first_id = 1;
  std::vector<std::string> entries;
};

/// State of an actor after `seq` events, so that replay starts there. The newest is kept, and all events. One of events
/// that are not there (nor in the same batch) is refused with `conflict`.
struct snapshot {
  std::string actor;
  std::uint64_t seq = 0;
  std::string state;
};

/// What is deleted for good: the law lets people be forgotten. It comes after all else in its batch.
struct erasure {
  enum class part : std::uint8_t {
    actor, // all events and the snapshot: the actor has never been
    past,  // an actor's events but the last; its snapshot must be as new
    log,   // an account's log but the last entry
  };
  part what = part::actor;
  std::string name; // of the actor or the account
};

/// All of it, or nothing. A batch of nothing is a barrier: its `then` says that all before it are decided.
struct batch {
  std::vector<append> appends;
  std::vector<feed_append> feeds;
  std::vector<row> rows;
  std::vector<snapshot> snapshots;
  std::vector<erasure> erasures;
};

/// `ok`: on disk. `exists`: an only_if_absent row was there. `conflict`: a sequence did not follow. `full`: the queue
/// of the journal is full, or the disk: try later. `failed`: the disk failed, or the journal is being closed.
///
/// What is not `ok` is not there to be read. After `full` and `failed` of the disk there is one exception, as with any
/// disk: should the process die before the disk has recovered, then the batch may be found whole at the next start.
enum class commit_status : std::uint8_t { ok, exists, conflict, full, failed };
const char* to_string(commit_status status);

/// What an activation starts from.
struct replayed {
  std::optional<snapshot> from;
  std::vector<std::string> events; // after the snapshot, in order
  std::uint64_t last_seq = 0;      // 0: the actor has never been
};

struct journal_counters {
  std::uint64_t batches = 0, syncs = 0, events = 0, refused = 0; // since the start; `batches` are those with `ok`
  commit_status disk = commit_status::ok; // `full` or `failed`: since the last write that failed; ok again by itself
};

class journal {
public:
  using done = std::function<void(commit_status)>;
  virtual ~journal() = default;

  /// Queues a batch; `then` is called exactly once, on the journal's thread, in the order of commits. It must neither
  /// block nor throw; it may call commit(). When the queue is full or the journal is being closed, `then` is called at
  /// once, on the caller's thread, before commit() returns. Batches are written in the order in which commit() was
  /// called; a refused one does not hurt its neighbours, but what the same actor appends after it does not follow
  /// either. May be called from any thread; never blocks on disk.
  virtual void commit(batch what, done then) = 0;
  /// Reads an actor back. Blocks on disk: not for a scheduled actor. Errors: `corrupt` (also: an event is missing),
  /// `newer`, `io`, `invalid` (not a name). The messages are for the log.
  virtual result<replayed> replay(const std::string& actor) const = 0;
  /// Events of an actor with their sequence numbers, newest first when `newest_first`, at most `count`, beginning with
  /// sequence `from` (0: the end it starts from). Errors: as replay().
  virtual result<std::vector<std::pair<std::uint64_t, std::string>>>
  events(const std::string& actor, std::uint64_t from, std::size_t count, bool newest_first) const = 0;
  /// Called on the journal's thread after each sync, after the `then` of its batches, once for each account whose log
  /// grew. It must neither block nor throw. Set before use.
  virtual void on_feed(std::function<void(const account_id&, std::uint64_t last_id)> follow) = 0;
  virtual journal_counters counters() const = 0;
};

} // namespace troupe::storage
