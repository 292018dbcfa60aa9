#pragma once

#include "actors/address_book.hpp"
#include "actors/base/persistent.hpp"
#include "actors/job/job_core.hpp"
#include "actors/job/job_messages.hpp"

#include <map>
#include <set>

namespace troupe {

struct job_options {
  std::int64_t reattach_ms = 5'000;       // how long a job that was made again waits for the node that had its stage
  std::int64_t progress_every_ms = 1'000; // kept in the account's log; between, only the newest counts
  std::int64_t preview_every_ms = 2'000;
  std::uint64_t fence = UINT64_MAX; // attempts from here on are of this life of the head, and its jobs know them
  timestamp began_at = INT64_MAX;   // when this life did
};

/// One JOB. It drives its run: queues what is ready, gives a placed stage its inputs, and turns each result into one
/// batch of money, state, files and events, which its account's ledger commits. Whatever it answers is durable, but why
/// its stages wait.
class job_actor final : public persistent<jobs::job_core> {
public:
  job_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, address_book_ptr others,
            job_options options, std::string job, storage::replayed past);
  caf::behavior make_behavior() override;

protected:
  bool may_sleep() const override;

private:
  caf::result<submitted_job> submit(submit_job& m);
  caf::result<description> describe(describe_job& m);
  caf::result<description> explain(explain_job& m);
  caf::result<description> cancel(cancel_job& m);
  caf::result<description> forget(forget_job& m);
  caf::result<description> remake(remake_artifact& m);
  caf::result<description> resume(resume_job& m);
  caf::result<description> place(place_stage& m);
  caf::result<description> place_second(const place_stage& m);
  caf::result<description> moved(stage_moved& m);
  caf::result<description> rejected(stage_rejected& m);
  caf::result<description> report(stage_report& m);
  caf::result<description> reattached(stage_reattached& m);
  caf::result<void> tick(job_tick& m);

  caf::result<description> on_report(const std::string& device, wire::finished& r);
  caf::result<description> on_report(const std::string& device, wire::failed& r);
  caf::result<description> disbelieve(const std::string& device, const wire::attempt_ref& ref);
  caf::result<description> on_report(const std::string& device, const wire::progress& r);
  caf::result<description> on_report(const std::string& device, const wire::preview& r);

  /// What one step adds to the disk besides its events.
  struct step {
    std::vector<event> events;
    workflow::effects effects;
    std::vector<movement> movements;
    std::vector<storage::row> rows;
    std::vector<std::string> feed;
  };
  /// Advances the run, or says that the event no longer fits.
  std::optional<step> advance(workflow::event what, jobs::advanced known, timestamp at);
  static step join(step first, step then);
  /// Adds what follows from the effects: money, files, rows and events for those who listen.
  void follow(step& s, timestamp at);
  bool is_live(const wire::attempt_ref& ref) const;
  bool is_second_beside_the_first(const wire::attempt_ref& ref) const;
  void withdraw_seconds();
  /// The attempts that the effects are the end of, and none that is given later.
  withdraw_stages withdrawal_of(const workflow::effects& effects) const;
  /// An entry of the account's log.
  std::string entry_of(const char* what, const packed_map& data) const;
  void note(step& s, const char* what, const packed_map& data) const;
  /// Whether the attempt was given to the node of this device, as far as that can be known. What another one says of it
  /// changes nothing.
  bool is_told_by_its_node(const std::string& device, const wire::attempt_ref& ref) const;
  /// A node's word on how long it ran, as far as that can be.
  std::uint32_t believable_ms(const wire::attempt_ref& ref, std::uint32_t said, timestamp at) const;
  void tell_stage(step& s, std::uint32_t stage) const;
  void tell_end(step& s) const;
  void add_result_rows(step& s) const;

  /// Hands the step to the ledger; `then` runs when it is durable. If it fails, this actor leaves and comes back from
  /// disk.
  void commit_step(
      step s, timestamp at, std::function<void(const booked&)> then = [](const booked&) {},
      std::function<void(caf::error)> failed = [](const caf::error&) {});
  /// The record of a start need not be durable for the attempt to run (docs/decisions/0002), so it waits a little: the
  /// end of a short stage, or whatever else comes first, takes it along.
  void keep_back(step s);
  caf::result<void> write_kept(kept_too_long& m);
  void request_ledger(book request_message, std::function<void(const booked&)> then,
                      std::function<void(caf::error)> failed);
  /// Commits and answers {"status": …} when durable, queueing what became ready.
  caf::result<description> commit_and_answer(step s, timestamp at);
  /// Tells the scheduler what is not wanted any more, and what may run now.
  void tell_scheduler(withdraw_stages over);

  void queue_ready();
  void queue(const std::vector<std::uint32_t>& stages);
  scheduling::stage_request request_for(std::uint32_t stage) const;
  wire::assign assignment(std::uint32_t stage, const std::string& device, std::uint64_t attempt) const;
  void schedule_tick();
  void tick_soon(std::chrono::milliseconds after);
  caf::result<bool> on_passivate(passivate& m);
  /// A row of explain_job's answer, for a stage that waits: what holds unless the scheduler has it.
  json why_not_in_queue(std::uint32_t stage, timestamp at) const;
  void compare_notes();
  void ask_devices();
  void ask_device(std::uint32_t stage, std::uint64_t attempt);
  void give_up(std::uint32_t stage, std::uint64_t attempt, const char* why);

  address_book_ptr others_;
  job_options options_;
  std::size_t commits_ = 0;        // under way at the ledger
  std::set<std::uint32_t> queued_; // told to the scheduler
  struct turned_away {
    std::string code, reason;
  };
  std::map<std::uint32_t, turned_away>
      turned_away_; // by the scheduler, which had no room when it was last told of them
  struct second_attempt {
    std::uint64_t attempt = 0;
    std::string device;
  };
  std::map<std::uint32_t, second_attempt> seconds_; // stage → its attempt beside the one that the run knows of
  std::map<std::uint32_t, std::int64_t> awaited_;   // running, as far as is known → when it is given up
  bool asking_ = false;                             // the devices of these
  std::map<std::uint32_t, std::int64_t> told_progress_, told_preview_; // when last
  bool tick_due_ = false;
  std::optional<step> kept_;
  bool kept_due_ = false;
};

} // namespace troupe
