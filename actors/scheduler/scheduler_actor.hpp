#pragma once

#include "actors/address_book.hpp"
#include "actors/base/visible.hpp"
#include "actors/scheduler/scheduler_core.hpp"
#include "actors/scheduler/scheduler_messages.hpp"

#include <map>

namespace troupe {

/// The SCHEDULER: says which stage runs where. It decides in its core and here only carries the decisions out. Nothing
/// of it is stored: after a restart jobs queue their stages again and nodes say what they run.
class scheduler_actor final : public visible {
public:
  scheduler_actor(caf::actor_config& config, actor_board& board, address_book_ptr others, scheduling::limits limits,
                  std::uint32_t epoch);
  caf::behavior make_behavior() override;

protected:
  json state_json() const override { return core_.inspect(); }

private:
  caf::result<void> queue(queue_stages& m);
  caf::result<void> withdraw(withdraw_stages& m);
  caf::result<void> over(attempt_over& m);
  caf::result<void> goes_on(attempt_goes_on& m);
  caf::result<void> joined(device_joined& m);
  caf::result<void> left(device_left& m);
  caf::result<description> explain(explain_waiting& m);
  caf::result<description> queue_state(read_queue& m);
  caf::result<description> admission(ask_admission& m);
  caf::result<void> wanted(device_wanted& m);
  caf::result<description> placement(list_placement& m);
  caf::result<void> tick(scheduler_tick& m);

  /// Tells the core, and carries out what it says.
  void apply(const scheduling::event& happened);
  /// Its job took the placement, or does not want it, or has not said so in time.
  void taken(std::uint64_t attempt);
  void not_taken(std::uint64_t attempt, const refused& why);
  void give_up_what_is_not_answered();
  void carry_out(const scheduling::start& c);
  void carry_out(const scheduling::stop& c);
  void carry_out(const scheduling::moved& c);
  void carry_out(const scheduling::reject& c);
  void carry_out(const scheduling::quarantined& c);
  void carry_out(const scheduling::released& c);

  address_book_ptr others_;
  std::size_t full_from_; // no line is full while fewer wait in all
  scheduling::scheduler_core core_;
  std::vector<scheduling::command> commands_;

  struct placement_asked {
    scheduling::start what;
    std::uint64_t tick = 0;
  };
  std::map<std::uint64_t, placement_asked> asked_; // by attempt, which rise: the longest asked first
  std::map<std::uint64_t, scheduling::start> given_up_;
  std::uint64_t ticks_ = 0;
};

} // namespace troupe
