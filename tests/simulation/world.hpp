#pragma once

// The world of one run: the head (or its absence), its disk, lines, nodes, clients and operators, and the loop that
// takes one event after another.

#include "tests/simulation/auditor.hpp"
#include "tests/simulation/authors.hpp"
#include "tests/simulation/head.hpp"
#include "tests/simulation/node.hpp"
#include "tests/simulation/scenario.hpp"

#include <array>

namespace troupe::simulation {

/// What stages can be, of what the head knows: the second is what workflows are made of.
inline constexpr std::array<const char*, 4> kinds = {"scene.image", "null.work", "scene.video", "upscale.video"};

class world {
public:
  world(const scenario& what, bool told);
  verdict run();

private:
  struct key_of_client {
    std::string id, hash;
    std::int64_t limit = 0;
    bool made = false, asked_to_end = false, ended = false;
  };
  struct client {
    std::string account;
    bool there = false;
    std::vector<key_of_client> keys;
    std::vector<std::string> once; // Idempotency-Keys that were used
    std::vector<std::pair<std::string, std::int64_t>> payments;
    std::vector<std::string> reversals;
    bool listens = false;
    std::uint64_t heard = 0; // the last entry
  };
  /// A request for a job, until its outcome is known.
  struct wish {
    std::size_t who = 0;
    std::string once, key;
    std::int64_t key_limit = 0;
    std::optional<task> what; // for a workflow; without it the plan is drawn
    order ordered;
    int tries = 0;
    bool settled = false;
  };
  using wish_ptr = std::shared_ptr<wish>;

  // the loop
  bool step_once();
  bool is_over();
  /// Once more from the disk: a new head must know what the auditor knows.
  void look_again();
  void calm_down();
  void tend();
  void watch_for_idlers();

  // the head
  void boot();
  void crash(micros for_so_long);

  // clients (world_clients.cpp)
  void found_studio();
  void make_account(std::size_t who);
  void allow(
      node_model& node, std::function<void()> then = [] {});
  void submit(std::size_t who, dice luck, std::string once, std::size_t stages_max);
  void pursue(const wish_ptr& w);
  void again_later(const wish_ptr& w);
  void settle(const wish_ptr& w, const std::string& what);
  void pump(std::size_t who);
  void pay(std::size_t who, const std::string& kind, const std::string& reference, std::int64_t amount);
  workflow::plan draw_plan(dice& luck, std::size_t stages_max) const;
  std::string some_job(std::size_t who, dice& luck, bool ended) const;
  void do_request(const step& what);
  void do_operator(const step& what);
  void job_command_answered(const std::string& job, micros asked_at, const caf::expected<description>& answer);

  // faults (world_faults.cpp)
  void do_fault(const step& what);

  const scenario what_;
  timeline time_;
  story story_;
  dice root_, turns_;
  auditor auditor_;
  authors authors_;
  durable disk_;
  disk_behaviour disk_does_;
  blob_shelf blobs_;
  network lines_;
  std::vector<std::unique_ptr<node_model>> nodes_;
  std::vector<client> clients_;
  std::vector<wish_ptr> wishes_;
  std::unique_ptr<head> head_;
  std::uint64_t lives_ = 0, jobs_named_ = 0, references_ = 0, requests_open_ = 0, events_ = 0;
  std::int64_t price_factor_ = 1;
  bool calm_ = false;
  std::set<std::string> let_in_; // nodes, since it is calm
  micros calm_since_ = 0, stalled_until_ = 0, deadline_ = 0, looked_at_ = 0;
  std::map<std::string, micros> idle_since_;                            // devices
  std::map<std::pair<std::string, std::size_t>, micros> waiting_since_; // stages
};

} // namespace troupe::simulation
