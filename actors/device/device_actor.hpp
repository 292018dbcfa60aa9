#pragma once

#include "actors/address_book.hpp"
#include "actors/base/visible.hpp"
#include "actors/device/device_messages.hpp"
#include "gpu/link/head_link.hpp"

#include <deque>
#include <map>
#include <set>

namespace troupe {

/// Whether the head has an artifact, in the length that is said. May look at the disk's index, not into the file.
using has_artifact = std::function<bool(const wire::artifact&)>;
/// Whether there is a job of that name. May look at the disk: it is asked only about what the head did not give out
/// itself.
using has_job = std::function<bool(const std::string&)>;

/// One DEVICE of a node: it passes attempts to the node and what the node says of them to their jobs, and lets the node
/// forget a result only when it is durable. Child of the cluster.
class device_actor final : public visible {
public:
  device_actor(caf::actor_config& config, actor_board& board, address_book_ptr others, link::head_link& link,
               std::string device, has_artifact is_here, has_job is_job);
  caf::behavior make_behavior() override;
  void on_exit() override {
    link_.fall_silent();
    visible::on_exit();
  }

protected:
  json state_json() const override;

private:
  using stage_key = std::pair<std::string, std::uint32_t>; // job, stage
  using promise = caf::typed_response_promise<void>;       // to the cluster, of a report
  struct attempt {
    std::uint64_t number = 0;
    std::int64_t since = 0; // steady
    std::uint32_t timeout_ms = 0;
    std::string kind;
    std::int64_t inputs_ms = 0; // what bringing its inputs may take
    bool stopped = false;       // its node was told to break it off
  };

  caf::result<void> run(run_stage& m);
  caf::result<void> stop(stop_stage& m);
  caf::result<void> report(device_report& m);
  caf::result<void> connected(device_connected& m);
  caf::result<void> lost(device_lost& m);
  caf::result<description> asked(attempt_asked& m);

  /// Null where it does not run.
  const attempt* find(const wire::attempt_ref& ref) const;
  /// A node's word on how long an attempt ran, as far as that can be.
  std::uint32_t believable_ms(const wire::attempt_ref& ref, std::uint32_t said) const;
  bool is_of_a_job(const wire::attempt_ref& ref);
  void take(wire::finished&& report, promise dealt_with);
  void take(wire::failed&& report, promise dealt_with);
  void end_attempt(const wire::attempt_ref& ref, scheduling::outcome how, std::uint32_t run_ms,
                   std::int64_t transfer_ms = -1);
  void deliver(wire::attempt_ref ref, wire::from_node what, promise dealt_with = {});
  void give_up(const stage_key& key, const attempt& what, const std::string& fault, const std::string& message);
  void reattach(const known_attempt& a);
  void part_from(const known_attempt& a, const std::string& why);
  void look_for_overdue();
  void reported(const wire::attempt_ref& ref);

  address_book_ptr others_;
  link::head_link::speaker link_;
  has_artifact is_here_;
  has_job is_job_;
  const std::int64_t made_at_ = steady_ms();
  std::string connection_; // empty: the node is not there
  std::uint64_t session_ = 0, hello_ = 0;
  bool gone_ = false; // the node has no such device any more: this actor leaves when all is passed on
  std::map<stage_key, attempt> running_;
  std::set<wire::attempt_ref> reporting_; // on their way to their jobs
  /// Told to stop while they did not run here, newest last. The order to start comes by way of the job, so it may come
  /// after the order to stop.
  std::deque<wire::attempt_ref> stopped_;
  std::uint64_t succeeded_ = 0, failed_ = 0;
};

} // namespace troupe
