#pragma once

#include "actors/address_book.hpp"
#include "actors/base/visible.hpp"
#include "actors/device/device_messages.hpp"
#include "gpu/link/head_link.hpp"

#include <map>
#include <set>

namespace troupe {

/// One DEVICE of a node: it passes attempts to the node and what the node says of them to their jobs, and lets the node
/// forget a result only when it is durable. Child of the cluster.
class device_actor final : public visible {
public:
  device_actor(caf::actor_config& config, actor_board& board, address_book_ptr others, link::head_link& link,
               std::string device);
  caf::behavior make_behavior() override;

protected:
  json state_json() const override;

private:
  using stage_key = std::pair<std::string, std::uint32_t>; // job, stage
  struct attempt {
    std::uint64_t number = 0;
    std::int64_t since = 0; // steady
    std::uint32_t timeout_ms = 0;
    std::string kind;
  };

  caf::result<void> run(run_stage& m);
  caf::result<void> stop(stop_stage& m);
  caf::result<void> report(device_report& m);
  caf::result<void> connected(device_connected& m);
  caf::result<void> lost(device_lost& m);
  caf::result<description> asked(attempt_asked& m);

  void end_attempt(const wire::attempt_ref& ref, scheduling::outcome how, std::uint32_t run_ms);
  void deliver(wire::attempt_ref ref, wire::from_node what);
  void give_up(const stage_key& key, const attempt& what, const std::string& fault, const std::string& message);
  void reattach(const known_attempt& a);
  void look_for_overdue();

  address_book_ptr others_;
  link::head_link& link_;
  std::string connection_; // empty: the node is not there
  std::map<stage_key, attempt> running_;
  std::set<wire::attempt_ref> reporting_; // on their way to their jobs
  std::uint64_t succeeded_ = 0, failed_ = 0;
};

} // namespace troupe
