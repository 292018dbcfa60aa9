#pragma once

// Decides which stage runs on which device. Pure: an event and the time go in, commands come out. The actor feeds it
// and carries the commands out; tests/simulation feeds it from a seed.
//
// Waiting stages lie in buckets of equal requirements (fair_queue.hpp), devices in classes of equal abilities
// (device_pool.hpp). A device that gets room looks for the first account that has work for it; a stage that comes
// looks into the index of devices with room. Nothing walks the queue.

#include "actors/scheduler/device_pool.hpp"
#include "actors/scheduler/fair_queue.hpp"
#include "actors/scheduler/flat_index.hpp"
#include "actors/scheduler/name_table.hpp"
#include "actors/scheduler/recent_attempts.hpp"
#include "actors/scheduler/run_times.hpp"
#include "actors/scheduler/scheduler_events.hpp"
#include "actors/scheduler/stage_record.hpp"
#include "common/json.hpp"

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::scheduling {

/// Why a stage waits: `code` is one of no_device_offers, too_large, excluded, quarantined, draining, account_cap,
/// reserved, reattaching, busy; `text` is for a person and names no path.
struct wait_reason {
  std::string code;
  std::string text;
};

/// How much an account has in the scheduler.
struct account_load {
  std::uint32_t waiting = 0;
  std::uint32_t running = 0;
};

class scheduler_core {
public:
  /// `epoch` is one more than at the last start, from storage: attempts are epoch << 32 | counter, so they rise over
  /// restarts.
  explicit scheduler_core(limits bounds = {}, std::uint32_t epoch = 0);

  /// Applies one event at `now` (milliseconds, any clock that does not go back) and appends the commands it causes, in
  /// order.
  void apply(const event& happened, timestamp now, std::vector<command>& out);
  std::vector<command> apply(const event& happened, timestamp now);

  /// Aborts when a promise is broken:
  ///  1. a stage is either waiting or running, on one device or, where it may and is a straggler, on two;
  ///  2. no stage is started above a device's slots or VRAM;
  ///  3. an account never has more stages started than its cap;
  ///  4. no stage waits while a device that may run it, and is not kept for another, has room for it and its account is
  ///     under the cap;
  ///  5. attempts rise; a report of another attempt than the current one changes nothing;
  ///  6. a device that drains, is quarantined or is down gets no stage;
  ///  7. counts (of queue, account, bucket, device) equal what is there.
  /// Slow: walks everything.
  void check_invariants() const;

  /// Empty when the stage does not wait here.
  std::optional<wait_reason> why_waiting(const stage_ref& ref) const;
  /// 1 is next. Counted among the stages that ask for the same; from turns by weight, not by walking the queue.
  std::optional<std::uint64_t> position(const stage_ref& ref) const;
  /// Milliseconds until it should start; empty when it does not wait or no device could ever run it.
  std::optional<std::int64_t> eta_ms(const stage_ref& ref) const;
  /// Where it runs, and as which attempt.
  std::optional<start> running_at(const stage_ref& ref) const;

  /// Where it runs besides, as a straggler.
  std::optional<start> second_at(const stage_ref& ref) const;

  /// Why `stages` more of the account would be refused now; empty when they would not.
  std::optional<reject> would_refuse(const account_id& account, std::size_t stages = 1) const;

  std::size_t queue_length() const { return waiting_; }
  /// Attempts; a straggler has two.
  std::size_t running() const { return running_.size(); }
  /// Stages, waiting or running.
  std::size_t stages() const { return by_ref_.size(); }
  account_load load_of(const account_id& account) const;
  /// True when some device that is up offers the kind, whether it has room or not.
  bool offered(const std::string& kind) const;
  /// State for the console: totals, and at most `rows_max` devices, buckets and accounts each.
  json inspect(std::size_t rows_max = 100) const;

private:
  static constexpr std::size_t name_bytes_max = 256;
  index type_of(const device_up& e);
  void on(const device_up& e);
  void on(const device_down& e);
  void on(const device_drain& e);
  void on(const device_enable& e);
  void on(const stage_queued& e);
  void on(const stage_withdrawn& e);
  void on(const stage_ended& e);
  void on(const stage_running& e);
  void on(const tick& e);

  // stages
  static flat_index::hash hash_of(const stage_record& stage);
  index find(const stage_ref& ref) const;
  struct admitted {
    index stage, account, bucket;
  };
  requirement wanted_by(const stage_request& request);
  requirement wanted_now(const stage_request& request);
  bool is_offered_elsewhere(const requirement& wanted) const;
  std::uint32_t vram_beyond_outgrown(const stage_request& request) const;
  void ask_anew();
  void move_to(index stage, requirement wanted);
  admitted admit(const stage_request& request, requirement wanted);
  void forget(index stage, index bucket);
  void enqueue(index stage, index account, index bucket, bool front);
  void unqueue(index stage);
  static stage_ref ref_of(const stage_record& stage);
  static bool is(const stage_record& stage, const stage_ref& ref);
  const stage_record& stage_at(index stage) const { return queue_.stages()[stage]; }
  stage_record& stage_at(index stage) { return queue_.stages()[stage]; }
  const line_record& line_of(const stage_record& waiting) const { return queue_.line_at(waiting.where); }
  bool sensible(const stage_request& request) const;
  bool refuse(const stage_request& request);
  std::int64_t time_to_drain(std::size_t stages, double share) const;

  // placement
  index open_pool(index kind);
  void enter_pools(index of_class);
  index open_bucket(requirement wanted);
  std::span<const index> pools_of(index of_class, index bucket) const;
  void close_bucket_if_empty(index bucket);
  void offer(index device);
  void place(index bucket);
  std::size_t class_of(index bucket) const;
  boost::container::small_vector<priority_class, class_count> classes_in_want(const device_class& own) const;
  static void note_use(device_class& own, std::size_t which, std::uint32_t run_ms);
  index choose_line(const device_record& device, std::optional<priority_class> only);
  index choose_line(const device_record& device, std::optional<priority_class> only, std::uint32_t room_to_load);
  template <class IsWarm, class May>
  index turn_of(index whose, index line, IsWarm is_warm, May may);
  void note_passed_over(index line, const device_record& device);
  boost::container::small_vector<index, 4> models_in_use(const device_record& device) const;
  std::uint32_t room_to_load(const device_record& device) const;
  double load_ms(index work, const device_record& device) const;
  index choose_aged(const device_record& device);
  static bool is_excluded(const requirement& wanted, const device_record& device);
  std::uint32_t vram_in(index of_class, index bucket) const;
  std::uint32_t vram_in_least(index bucket) const;
  bool may_run(const device_record& device, index bucket) const;
  bool may_backfill(const device_record& device, index bucket) const;
  bool fit_together(const device_record& device, std::uint32_t one, std::uint32_t other) const;
  timestamp ends_at_earliest(const running_record& run) const;
  index choose_device(index bucket, index stage) const;
  void begin(index line, index device);
  index occupy(const admitted& stage, index device, std::uint64_t attempt);
  void run_as(index stage, index run);
  void vacate(index run);
  index find_run(index device, std::uint64_t attempt) const;
  bool could_place(index bucket) const;
  std::uint32_t expected_ms(const stage_record& stage, index bucket, const device_record& device) const;
  virtual_time charge_for(index account, index bucket, const device_record& device, std::uint32_t run_ms) const;

  // faults
  void hold_against(index device, const stage_record& stage, index model);
  /// The operator's word: what failed on it counts no more.
  void forgive(const device_id& device);
  void lose(index device);
  void attach(const admitted& stage, const device_id& device, std::uint64_t attempt);
  void account_for(index run);
  void take_back(index device, const std::vector<held_attempt>& held, std::uint64_t hello);
  void claim(index device, const stage_ref& ref, std::uint64_t attempt);
  bool is_cold(const device_record& device, index model) const;
  bool is_far(index stage, const device_record& device) const;
  double cost_ms(index stage, index bucket, const device_record& device) const;
  void keep_for(index device, index bucket);
  void end_reservation(index device);
  void reserve_for_starving();
  index could_reserve(index bucket) const;
  std::vector<std::uint32_t> attempts_by_class(bool (*counts)(const running_record&, priority_class)) const;
  void preempt();
  index choose_victim(index bucket, const std::vector<std::uint32_t>& preemptible) const;
  void preempt(index run, index bucket);
  void forget_preemptions();
  void double_stragglers();
  bool is_straggler(const running_record& run) const;
  bool has_failed_on(const device_record& device, index stage) const;
  index idle_device(const running_record& beside, const std::vector<std::uint32_t>& seconds) const;
  void start_second(index run, index device);
  void settle(index run, const stage_ended& e);
  bool pays(const running_record& run, outcome how) const;
  void part(index run, bool won);
  void charge_late(index stage, const stage_ended& e);

  std::vector<index> classes_for(index kind) const;
  /// How the devices that offer a kind stand to what is wanted of them.
  struct offer_count {
    std::size_t up = 0, too_small = 0, excluded = 0;
    std::array<std::size_t, standings> large_enough{}; // and not excluded, by standing
    std::uint32_t largest_mib = 0;
    bool operator==(const offer_count&) const = default;
  };
  /// `bucket`: of what is wanted, whose reservation is no obstacle; or none.
  offer_count offer_for(const requirement& wanted, index bucket = none) const;
  json inspect_device(const device_record& device) const;
  json inspect_bucket(const bucket_record& bucket) const;

  void check_stages() const;
  void check_devices() const;
  void check_offers() const;
  void check_nothing_startable_waits() const;
  bool someone_may_start(index bucket) const;

  limits limits_;
  std::uint64_t attempts_ = 0; // the last one given
  timestamp now_ = 0;
  std::vector<command>* out_ = nullptr;
  std::uint64_t starts_ = 0;
  std::size_t waiting_ = 0;
  std::array<std::size_t, 3> waiting_in_{}; // by priority class

  timestamp silent_since_ = 0;    // the last end, or the first start since nothing ran; 0: nothing ever did
  double between_ends_ms_ = 1000; // mean, over the last fifty or so, of the time in which something ran
  std::vector<index> offered_;    // devices to fill before the event is done
  std::vector<index> woken_;      // buckets to place from

  name_table kinds_;
  name_table models_;
  name_table types_;
  flat_index by_ref_; // stages
  slab<running_record> running_;
  std::unordered_map<index, std::vector<node_id>> near_; // only of waiting stages that have a preference
  std::map<index, stage_request>
      choosy_;            // only of stages that failed on a device: what they want depends on the others
  index asked_anew_ = 0;  // stage, the next of those
  index preempt_for_ = 0; // bucket, the next for which an attempt may be stopped
  fair_queue queue_;
  device_pool devices_;
  std::vector<index> pools_; // by kind; none where nothing of it was asked for
  run_times run_times_;
  recent_attempts ended_;
  struct preemptions {
    std::uint32_t count = 0;
    timestamp last = 0;
    std::uint64_t attempt = 0; // the last that was stopped
  };
  std::map<stage_ref, preemptions> preempted_; // stages that were stopped for others, until they end
  std::vector<std::uint64_t> warm_on_;         // by model: the decision in whose device's memory it was seen last
  std::uint64_t looks_ = 0;
  std::vector<std::uint64_t> work_; // of choose_line, by shelf and group
};

} // namespace troupe::scheduling
