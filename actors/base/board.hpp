#pragma once

// Who is alive: one entry to an actor, kept by the base of all actors and read by the admin's console.

#include "common/clock.hpp"
#include "common/json.hpp"

#include <caf/actor_addr.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe {

/// Counters of one actor. Written by the actor, read by anyone.
struct actor_entry {
  std::string kind, id, parent; // parent: kind/id, or empty at the root
  timestamp started_at = 0;
  std::atomic<std::uint64_t> handled{0}; // messages
  std::atomic<std::uint64_t> busy_ns{0}; // time spent in them
  std::atomic<std::uint64_t> mailbox{0}; // waiting, as of the last message
  std::atomic<timestamp> last_message_at{0};
  std::atomic<std::uint64_t> errors{0};
  caf::actor_addr address;

  void note_error(std::string what);
  std::string last_error() const;
  /// Everything above as the admin API shows it.
  json to_json() const;

private:
  mutable std::mutex mutex_;
  std::string last_error_;
};

class actor_board {
public:
  std::shared_ptr<actor_entry> join(std::string kind, std::string id, std::string parent);
  void leave(const actor_entry& who);

  std::shared_ptr<actor_entry> find(const std::string& kind, const std::string& id) const;
  /// In order of kind and id, at most `count`, after `after` ("kind/id").
  std::vector<std::shared_ptr<actor_entry>> list(const std::string& kind, const std::string& after,
                                                 std::size_t count) const;
  /// How many actors of each kind live.
  std::map<std::string, std::size_t> counts() const;

private:
  using key = std::pair<std::string, std::string>;
  mutable std::mutex mutex_;
  std::map<key, std::shared_ptr<actor_entry>> entries_;
};

} // namespace troupe
