#pragma once

// The shell around a core that is rebuilt from its events. It owns one promise: nobody is answered, and no effect is
// run, from state that a crash could still take back.

#include "actors/base/event.hpp"
#include "actors/base/visible.hpp"
#include "common/check.hpp"
#include "common/log.hpp"
#include "storage/journal.hpp"

#include <algorithm>
#include <deque>
#include <functional>

namespace troupe {

/// `Core` has `event` (a variant of event structs, see event.hpp), evolve(const event&), to_json(), from_json(json),
/// and check_invariants(); its decide() functions are called by the derived actor.
template <class Core>
class persistent : public visible {
public:
  persistent(caf::actor_config& config, actor_board& board, storage::journal& journal, actor_kind kind, std::string id,
             storage::replayed past)
    : visible(config, board, to_string(kind), std::move(id), "directory/main"), journal_(journal),
      past_(std::move(past)) {}

protected:
  using event = typename Core::event;

  /// Rebuilds the core from the journal. False when the past cannot be read: the actor must not serve.
  bool restore() {
    snapshot_taken(0, 0);
    if (past_.from) {
      auto state = unpack(past_.from->state);
      if (!state)
        return unreadable("snapshot: " + state.error().message);
      core_ = Core::from_json(*state);
      snapshot_taken(past_.from->seq, past_.from->state.size());
    }
    for (const auto& bytes : past_.events) {
      auto happened = unpack_event<event>(bytes);
      if (!happened)
        return unreadable(happened.error().message);
      core_.evolve(*happened);
    }
    seq_ = past_.last_seq;
    past_ = {};
    return true;
  }

  /// Evolves at once, so that the next command is decided on what will be, and puts the events into `into`. The caller
  /// commits `into`, and drops the actor when that fails.
  void evolve_into(const std::vector<event>& events, storage::batch& into) {
    for (const auto& happened : events)
      core_.evolve(happened);
    append_into(events, into);
  }

  /// The same for events that the core has evolved by already.
  void append_into(const std::vector<event>& events, storage::batch& into) {
    storage::append mine{key(), seq_ + 1, {}};
    for (const auto& happened : events)
      mine.events.push_back(pack_event(happened));
    seq_ += events.size();
    core_.check_invariants();
    if (!mine.events.empty())
      into.appends.push_back(std::move(mine));
    if (snapshot_every_ > 0 && seq_ >= next_snapshot_)
      add_snapshot(into);
  }

  /// The state as it is now takes the place of all events but the last: what was in them is erased.
  void erase_past_into(storage::batch& into) {
    add_snapshot(into);
    into.erasures.push_back({storage::erasure::part::past, key()});
  }

  /// Commits to the journal; `then` runs here, in this actor, when the disk has it. A batch without content answers
  /// when all before it is durable: a repeat waits for what it repeats.
  void commit(storage::batch what, std::function<void(storage::commit_status)> then) {
    waiting_.push_back(std::move(then));
    auto ticket = next_ticket_++;
    journal_.commit(std::move(what), [self = caf::actor_cast<caf::actor>(this), ticket](storage::commit_status status) {
      caf::anon_send(self, committed{ticket, static_cast<std::uint8_t>(status)});
    });
  }

  /// Line of every behavior of a persistent actor.
  caf::result<void> on_committed(committed& answer) {
    auto status = static_cast<storage::commit_status>(answer.status);
    if (answer.ticket != answered_) { // a full journal refuses at once, ahead of what is still on its way to the disk
      TROUPE_CHECK(status != storage::commit_status::ok);
      drop(std::string{"commit "} + storage::to_string(status));
      return {};
    }
    ++answered_;
    auto then = std::move(waiting_.front());
    waiting_.pop_front();
    then(status);
    if (status != storage::commit_status::ok)
      drop(std::string{"commit "} + storage::to_string(status));
    return {};
  }

  caf::result<bool> on_passivate(passivate&) {
    if (!waiting_.empty() || !may_sleep())
      return false;
    quit();
    return true;
  }

  /// Memory is ahead of the disk: leave, and be made again from what is really there.
  void drop(const std::string& why) {
    entry().note_error(why);
    for (auto& then : std::exchange(waiting_, {}))
      then(storage::commit_status::failed);
    quit(refuse(refusal::unavailable, why));
  }

  virtual bool may_sleep() const { return true; }
  json state_json() const override { return core_.to_json(); }

  std::string key() const { return std::string{entry_kind()} + "/" + id(); }
  bool idle() const { return waiting_.empty(); }

  Core core_;
  std::uint64_t snapshot_every_ = 0; // events, at least; 0: never

private:
  const char* entry_kind() const { return name(); }

  // A snapshot costs what the state is large. One in so many events that it costs about what they do: a ledger with
  // thousands of open holds would else write them all with every few jobs. But who comes back reads what came after it.
  static constexpr std::size_t snapshot_bytes_per_event = 32;
  static constexpr std::uint64_t events_replayed_max = 16'384;

  void add_snapshot(storage::batch& into) {
    into.snapshots.push_back({key(), seq_, pack(core_.to_json())});
    snapshot_taken(seq_, into.snapshots.back().state.size());
  }
  void snapshot_taken(std::uint64_t seq, std::size_t bytes) {
    auto worth = std::min<std::uint64_t>(bytes / snapshot_bytes_per_event, events_replayed_max);
    next_snapshot_ = seq + std::max(snapshot_every_, worth);
  }

  bool unreadable(const std::string& why) {
    log::critical("{} cannot be read back: {}; restore a backup, or look at it with the admin API", key(), why);
    entry().note_error(why);
    return false;
  }

  storage::journal& journal_;
  storage::replayed past_;
  std::uint64_t seq_ = 0, next_snapshot_ = 0;
  std::uint64_t next_ticket_ = 0, answered_ = 0;
  std::deque<std::function<void(storage::commit_status)>> waiting_;
};

} // namespace troupe
