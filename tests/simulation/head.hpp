#pragma once

// One life of the head: the production actors (app/head_actors.*), all on this thread, over a simulated disk, link and
// clock. Its destruction is the crash of a process.

#include "app/head_actors.hpp"
#include "tests/simulation/disk.hpp"
#include "tests/simulation/network.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <functional>
#include <memory>

namespace troupe::simulation {

/// Whose turn it is, when several actors have messages.
enum class turns : std::uint8_t { first_come, drawn, last_come };

class head {
public:
  /// What outlives it.
  struct surroundings {
    timeline& time;
    story& told;
    durable& disk;
    const disk_behaviour& disk_does;
    network& lines;
    simulated_database::watcher written;
    app::actor_options options;
    has_artifact is_here;
  };
  head(const surroundings& around, dice luck);
  ~head();
  head(const head&) = delete;
  head& operator=(const head&) = delete;

  bool has_work() const { return !scheduler_->jobs.empty(); }
  /// Lets one actor take one message.
  void work(turns order, dice& luck);
  std::optional<micros> next_timeout();
  /// To the present: time-outs and delayed messages that are due.
  void catch_up();

  /// Sends a command to a persistent actor, as http/bridge/gateway does. A crash leaves it without an answer.
  template <class Command>
  void ask(Command command, bool fresh, std::function<void(caf::expected<typename Command::reply>)> done) {
    request<typename Command::reply>(others_->directory, routed(std::move(command), fresh), std::move(done));
  }
  template <class Message>
  void ask_cluster(Message message, std::function<void(caf::expected<description>)> done) {
    request<description>(others_->cluster, std::move(message), std::move(done));
  }
  template <class Command>
  void tell(Command command) {
    caf::anon_send(others_->directory, routed(std::move(command)));
  }

  simulated_database& database() { return *database_; }
  head_end& link() { return *link_; }
  const node_registry& nodes() const { return nodes_; }
  const capabilities& offered() const { return offered_; }
  void resume_jobs();

private:
  static constexpr auto answer_time = std::chrono::seconds(20); // gateway::time_out

  template <class Reply, class Message>
  void request(const caf::actor& to, Message message, std::function<void(caf::expected<Reply>)> done) {
    client_->request(to, answer_time, std::move(message))
        .then(
            [alive = alive_, done](Reply& answer) {
              if (*alive)
                done(std::move(answer));
            },
            [alive = alive_, done](caf::error& why) {
              if (*alive)
                done(std::move(why));
            });
  }

  surroundings around_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<simulated_database> database_;
  actor_board board_;
  capabilities offered_;
  admin_roll admins_;
  node_registry nodes_;
  caf::actor_system_config config_;
  std::unique_ptr<head_end> link_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* scheduler_ = nullptr;
  address_book_ptr others_ = std::make_shared<address_book>();
  caf::actor client_handle_;
  caf::event_based_actor* client_ = nullptr;
};

} // namespace troupe::simulation
