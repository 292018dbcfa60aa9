#pragma once

// Which actors the head has and what each is given; also what they start from on disk. No thread, file or socket: the
// simulation makes its heads with it, too.

#include "actors/account/admin_roll.hpp"
#include "actors/address_book.hpp"
#include "actors/base/board.hpp"
#include "actors/cluster/cluster_actor.hpp"
#include "actors/directory/directory_actor.hpp"
#include "actors/job/job_actor.hpp"
#include "actors/scheduler/scheduler_messages.hpp"
#include "common/configuration.hpp"

#include <functional>
#include <string>
#include <vector>

namespace troupe::app {

/// What they share. All of it must outlive them.
struct head_parts {
  actor_board& board;
  storage::database& database;
  admin_roll& admins;
  node_registry& nodes;
  capabilities& offered;
  link::head_link* link = nullptr; // none: there is no cluster actor
  has_artifact is_here;
};

struct actor_options {
  scheduling::limits scheduler;
  job_options jobs;
  directory_options directory;
  cluster_options cluster;
};
actor_options options_of(const configuration& config);

/// Fills `others`.
void spawn_actors(caf::actor_system& system, const head_parts& parts, const actor_options& options,
                  const address_book_ptr& others);

void read_admins(const storage::database& from, admin_roll& into);
void read_nodes(const storage::database& from, node_registry& into);
void read_capabilities(const storage::database& from, capabilities& into);

/// Which jobs had not ended: those that wait for their first stage are handed to `queue`, some 500 stages at a time,
/// until it says no; the ids of the others, which must be told to go on, are returned.
std::vector<std::string> read_open_jobs(const storage::database& from, const std::function<bool(queue_stages)>& queue);

} // namespace troupe::app
