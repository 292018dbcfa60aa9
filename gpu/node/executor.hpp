#pragma once

// Runs assigned attempts on this node's slots, a thread to each slot, and keeps what ended until the head has noted it.
//
// 1. An attempt is either held here (queued or at work) or reported; between the two it is in one of them at any time.
// 2. Of a stage only the newest attempt is at work for the head; a newer one breaks the older off.
// 3. An attempt that is assigned twice runs once.
// 4. An engine that does not return in time after it was told to stop ends the process: its slot and its memory cannot
// be
//    had back in any other way.

#include "gpu/node/attempt.hpp"
#include "gpu/node/stage_run.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace troupe::node {

struct executor_options {
  std::filesystem::path folder; // of the node; work/ and unacknowledged/ are the executor's
  std::size_t queue_max = 4096; // attempts waiting for a slot, of one device
  std::int64_t stuck_ms = 10'000;
  int nice = 5;                   // of the slots' threads, so that the head on the same machine stays prompt
  std::function<void()> on_stuck; // instead of ending the process with status 70, which its supervisor mends
  report_limits reports;
};

/// A device with the operations that its engines can do on it.
struct work_device {
  struct operation {
    engines::engine* engine = nullptr;
    bool preview = false;
  };
  std::string name;
  std::uint32_t slots = 1;
  unsigned threads = 1;
  std::map<std::string, operation> operations; // by kind
};

class executor {
public:
  executor(executor_options options, std::vector<work_device> devices, artifact_cache& cache, node_transfers& transfers,
           attempt::sender send);
  /// Breaks off what runs and waits for it.
  ~executor();

  void assign(wire::assign&& what);
  void cancel(const wire::attempt_ref& ref);
  void acknowledge(const wire::attempt_ref& ref);
  /// What a hello says: at one moment, each attempt once.
  void describe(wire::hello& out) const;
  /// Sends again what a hello had no room for. After the welcome.
  void resend();
  /// Breaks everything off without a word: the head has given up on this node.
  void abandon_all(const std::string& reason);
  /// Looks after time-outs and engines that are stuck; to be called every 100 ms or so.
  void tick();
  std::size_t held() const;

private:
  using attempt_ptr = std::shared_ptr<attempt>;
  struct slot {
    std::filesystem::path folder;
    std::condition_variable called;
    bool idle = false;
  };
  struct lane {
    work_device device;
    std::deque<attempt_ptr> waiting;
    std::deque<slot> slots;
    std::vector<slot*> idle; // the last to become so is the first to be called: its memory is still in the caches
    bool calling = false;    // one was called that has not looked yet
  };

  void refuse(const wire::assign& what, const std::string& message);
  static slot* call(lane& on);
  attempt_ptr next_for(slot& own, lane& on);
  void work(slot& own, lane& on);
  void finish(const attempt_ptr& done, std::optional<report> outcome);
  /// Breaks attempts off: those that wait for a slot at once, the others by telling their engines.
  void break_all(const std::vector<attempt_ptr>& which, break_off why);
  std::vector<attempt_ptr> older_than(const wire::attempt_ref& newest) const;
  /// Calls `visit` with each result and whether a hello has room for it.
  template <class Visit>
  void results_for_hello(Visit visit) const;
  bool clear(const std::filesystem::path& folder) const;

  executor_options options_;
  artifact_cache& cache_;
  node_transfers& transfers_;
  attempt::sender send_;
  mutable std::mutex mutex_;
  bool stopping_ = false;
  std::map<std::string, std::unique_ptr<lane>> lanes_;
  std::map<wire::attempt_ref, attempt_ptr> held_;
  unacknowledged results_;
  std::vector<std::thread> threads_; // of all slots
};

} // namespace troupe::node
