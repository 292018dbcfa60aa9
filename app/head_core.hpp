#pragma once

// Store and actors of the head, wired: what `troupe serve` puts HTTP in front of, and `troupe admin` uses offline.

#include "actors/account/admin_roll.hpp"
#include "actors/address_book.hpp"
#include "actors/base/board.hpp"
#include "actors/cluster/capabilities.hpp"
#include "actors/cluster/node_registry.hpp"
#include "common/configuration.hpp"
#include "common/halt_poll.hpp"
#include "common/result.hpp"
#include "gpu/link/head_link.hpp"
#include "storage/blobs.hpp"
#include "storage/database.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>

namespace troupe::app {

class head_core {
public:
  /// Opens the data directory and starts the actors. `with_link`: also listen for nodes. `on_feed` is told, on the
  /// journal's thread, which accounts' logs have grown. Errors: those of storage::database::open and
  /// link::head_link::open.
  static result<std::unique_ptr<head_core>> start(const configuration& config, bool with_link,
                                                  std::function<void(const account_id&)> on_feed);
  ~head_core();
  head_core(const head_core&) = delete;
  head_core& operator=(const head_core&) = delete;

  /// Takes up again every job that had not ended, on a thread of its own: first those that wait for their first stage
  /// are queued, without making their actors; then the others are told to go on, a few at a time. What nodes say of
  /// running stages does not wait for it.
  void resume_jobs();

  caf::actor_system& system() { return *system_; }
  address_book_ptr others() { return others_; }
  storage::database& database() { return *database_; }
  const storage::database& database() const { return *database_; }
  storage::blob_store& blobs() { return *blobs_; }
  actor_board& board() { return board_; }
  capabilities& offered() { return offered_; }
  const admin_roll& admins() const { return admins_; }
  node_registry& nodes() { return nodes_; }
  link::head_link* node_link() { return link_.get(); }
  const link::key_pair& keys() const { return keys_; }
  /// Where the local node dials: fixed for a data directory, so that a node that outlives its head finds the next one.
  const std::string& local_endpoint() const { return local_endpoint_; }
  const link::key_pair& local_node_keys() const { return local_keys_; }
  std::filesystem::path data() const { return data_; }

private:
  head_core() = default;
  result<void> open_link(const configuration& config);
  void spawn_actors(const configuration& config);
  void take_up(const std::stop_token& stop);

  std::optional<halt_poll> awake_;
  std::filesystem::path data_;
  link::key_pair keys_, local_keys_;
  std::string local_endpoint_;
  std::unique_ptr<storage::database> database_;
  std::unique_ptr<storage::blob_store> blobs_;
  actor_board board_;
  capabilities offered_;
  admin_roll admins_;
  node_registry nodes_;
  caf::actor_system_config caf_config_;
  std::unique_ptr<caf::actor_system> system_;
  address_book_ptr others_ = std::make_shared<address_book>();
  std::promise<caf::actor> cluster_;
  std::unique_ptr<link::head_link> link_;
  std::jthread resuming_;
};

} // namespace troupe::app
