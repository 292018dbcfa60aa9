#pragma once

// The auditor keeps its own books. It sees each batch that becomes durable, each answer that a client gets and each
// word on the lines, and works out with rules of its own what must be true; it shares no code with the product but the
// format of bytes (MessagePack).
//
//  1. Each ledger's transfers are dense; the sum over its books is 0; wallet and held are never below 0.
//  2. A job is held for once, at its quoted price; each stage is captured once, at its price, when it first succeeded;
//     the hold ends exactly when the job does, exactly once.
//  3. A job is in one state; one that has ended stays so, but for a file that is made again; the row that people read
//     says the same.
//  4. Attempts of a stage rise; a report of one that ended changes nothing; what has succeeded is not started again.
//  5. The ids of an account's log are dense and in order, and what was told is never told otherwise.
//  6. What was answered with `ok` is on the disk when the answer goes out, and stays; what was refused never happens.
//  7. One Idempotency-Key makes one job.
//  8. A device is given no more attempts at a time than it has slots.
//  9. A node is told that it may forget a result only when that is on the disk.
// 10. A job goes by the definition that was in force when it was asked for, whatever is loaded later; a definition with
//     a mistake changes nothing (authors.hpp).

#include "common/json.hpp"
#include "gpu/wire/messages.hpp"
#include "storage/journal.hpp"
#include "tests/simulation/story.hpp"

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe::simulation {

class auditor {
public:
  auditor(const timeline& time, story& told) : time_(time), story_(told) {}

  bool is_content() const { return complaint_.empty(); }
  const std::string& complaint() const { return complaint_; }
  void complain(const std::string& what);

  // -- what becomes durable --
  void on_batch(const storage::batch& what);

  // -- what clients asked and were answered --
  /// What a client asks for, by the definitions that were in force then.
  struct quote {
    std::string account, once, workflow;
    std::uint32_t version = 1;
    std::size_t stages = 0;
    std::int64_t price = 0; // micro-credits
  };
  void on_quoted(const std::string& job, quote what);
  void on_accepted(const std::string& job, std::int64_t held, std::int64_t balance);
  void on_refused(const std::string& job);
  void on_status_told(const std::string& job, const std::string& status, micros asked_at);
  void on_workflow_told(const std::string& job, const std::string& workflow, std::uint32_t version, std::size_t stages);
  void on_books_told(const std::string& account, std::int64_t balance, std::int64_t held, micros asked_at);
  void on_paid(const std::string& account, const std::string& kind, const std::string& reference, std::int64_t amount);
  void on_paid_answer(const std::string& account, const std::string& kind, const std::string& reference);
  void on_heard(const std::string& account, std::uint64_t id, const std::string& entry);

  // -- what is said on the lines --
  void on_sent(const std::string& node, std::uint32_t slots_of_device, const wire::to_node& message);
  void on_said(const std::string& node, const wire::from_node& message);
  void on_node_lost(const std::string& node);
  void on_head_died();

  // -- questions --
  std::size_t open_jobs() const { return open_; }
  std::vector<std::string> jobs_of(const std::string& account) const;
  bool exists(const std::string& job) const { return jobs_.contains(job); }
  bool has_ended(const std::string& job) const;
  std::string status_of(const std::string& job) const;
  std::optional<std::string> output_of(const std::string& job, std::size_t stage) const;
  std::int64_t wallet(const std::string& account) const;
  std::int64_t held(const std::string& account) const;
  /// A stage that could run now.
  struct ready_stage {
    std::string job;
    std::size_t index = 0;
    std::string kind;
    std::set<std::string> failed_on;
  };
  std::vector<ready_stage> ready_stages() const;
  /// What the head believes to run on a device.
  std::size_t given_to(const std::string& node, const std::string& device) const;
  std::uint64_t told_to(const std::string& account) const;
  std::vector<std::string> accounts() const;
  /// The longest that what is open can take, one after another on one slot.
  micros work_left() const;
  /// At the end, when all has ended.
  void final_audit();
  struct counters {
    std::uint64_t batches = 0, transfers = 0, jobs = 0, attempts = 0, entries = 0, accepted = 0;
    std::uint64_t came_back = 0; // attempts that were lost, and went on or had succeeded
  };
  const counters& counted() const { return counted_; }

private:
  enum class at : std::uint8_t { waiting, running, succeeded, over };
  struct stage_record {
    std::int64_t price = 0;
    std::uint32_t attempts_max = 1, timeout_s = 0, backoff_ms = 0;
    std::vector<std::uint32_t> needs;
    at now = at::waiting;
    std::uint64_t attempt = 0, ended = 0;
    std::uint32_t failures = 0, lost = 0, remade = 0;
    bool paid = false; // has succeeded once
    std::string output, kind;
    std::set<std::string> failed_on; // devices, by a fault of their own or as too small
    micros not_before = 0;           // the wait before its next attempt
    bool is_lost() const { return now == at::waiting && attempt > ended; } // its last attempt, which may come back
  };
  struct job_record {
    std::string account, status = "queued", row_status;
    std::int64_t price = 0, captured = 0;
    std::vector<stage_record> stages;
    bool begun = false, ended = false, open_row = false, forgotten = false;
    std::uint32_t ends = 0, told_ends = 0;
    std::deque<std::pair<micros, std::string>> history;
  };
  struct hold_record {
    std::int64_t left = 0;
    std::set<std::string> captured;
  };
  struct account_record {
    std::map<std::string, std::int64_t> books;
    std::uint64_t transfers = 0, fed = 0;
    std::map<std::string, hold_record> holds;
    std::set<std::string> held_once;
    std::map<std::string, std::int64_t> paid; // kind/reference → amount
    std::map<std::string, std::int64_t> asked;
    std::map<std::string, std::int64_t> balance_after_hold;
    std::map<std::string, std::int64_t> allowances;
    std::deque<std::uint64_t> entries; // hashes
    std::deque<std::pair<micros, std::pair<std::int64_t, std::int64_t>>> history;
  };
  struct promise_record : quote {
    bool refused = false, accepted = false;
  };

  void on_transfer(account_record& of, const std::string& name, const json& e);
  void on_job_event(const std::string& name, const json& e);
  void on_submitted(const std::string& name, const json& e);
  void advance(job_record& j, const std::string& name, const json& what);
  void end(job_record& j, const std::string& status);
  void on_row(const storage::row& r);
  void on_entry(const std::string& account, const std::string& entry);
  void check_job(const std::string& name);
  void check_may_forget(const wire::attempt_ref& ref);
  void check_account(const std::string& name);
  static json decode(const std::string& packed);

  const timeline& time_;
  story& story_;
  std::string complaint_;
  std::map<std::string, job_record> jobs_;
  std::map<std::string, account_record> accounts_;
  std::map<std::string, promise_record> promises_;                                 // by job
  std::map<std::string, std::string> once_;                                        // idempotency row → job
  std::map<std::string, std::map<std::string, std::set<wire::attempt_ref>>> live_; // node → device → attempts
  std::set<wire::attempt_ref> finished_;                                           // as their nodes said
  std::set<std::string> touched_jobs_, touched_accounts_;
  std::size_t open_ = 0;
  counters counted_;
};

} // namespace troupe::simulation
