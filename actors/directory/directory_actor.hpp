#pragma once

#include "actors/base/visible.hpp"
#include "actors/directory/directory_messages.hpp"
#include "storage/database.hpp"

#include <deque>
#include <functional>
#include <list>
#include <unordered_map>

namespace troupe {

/// What an activation starts from, read by a loader.
struct past_of_actor {
  storage::replayed events;
  std::uint64_t last_feed_id = 0; // of a ledger
};

struct directory_options {
  std::int64_t passivate_after_ms = 300'000; // idle
  std::size_t waiting_max = 10'000;          // messages for one actor that is being read back
  unsigned loaders = 2;                      // who read
  bool loaders_have_threads = true;          // false where nothing blocks on a disk: in the simulation
};

/// The DIRECTORY: the only one that holds handles of persistent actors. So a message never meets an actor that has just
/// left: it waits here until the next activation.
class directory_actor final : public visible {
public:
  /// Makes an actor of a kind. Called on the directory's thread; the actor reads its past on its own.
  using factory =
      std::function<caf::actor(caf::event_based_actor& parent, actor_kind kind, std::string id, past_of_actor past)>;

  directory_actor(caf::actor_config& config, actor_board& board, storage::database& database, factory make,
                  directory_options options);
  caf::behavior make_behavior() override;

protected:
  json state_json() const override;

private:
  enum class phase : std::uint8_t { loading, live, leaving };
  struct resident {
    phase now = phase::loading;
    actor_kind kind = actor_kind::account;
    std::string id;
    caf::actor handle;
    std::int64_t last_used = 0;
    std::deque<std::pair<caf::response_promise, caf::message>> waiting;
    std::list<std::string>::iterator place; // in used_
  };

  caf::result<caf::message> deliver(route& message);
  caf::result<void> look_for_idle(sweep& message);

  void load(const std::string& key, resident& target);
  void loaded(const std::string& key, past_of_actor past);
  void went(const caf::down_msg& down);
  void flush(resident& target);
  void fail_waiting(resident& target, const std::string& why);

  storage::database& database_;
  factory make_;
  directory_options options_;
  std::vector<caf::actor> loaders_;
  std::size_t next_loader_ = 0;
  std::unordered_map<std::string, resident> entries_;
  std::unordered_map<caf::actor_id, std::string> keys_; // of live actors
  std::list<std::string> used_;                         // keys, the longest idle first
  std::uint64_t activations_ = 0, passivations_ = 0;
};

} // namespace troupe
