#include "actors/base/worker_queue.hpp"

#include "common/halt_poll.hpp"

#include <caf/all.hpp>
#include <caf/policy/unprofiled.hpp>
#include <caf/scheduler/coordinator.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

namespace troupe {

namespace {

/// A scheduling policy, as caf::policy::work_sharing is one. All ready actors stand in one queue.
class worker_queue final : public caf::policy::unprofiled {
public:
  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator*) {}
    worker_data(const worker_data&) {} // made before there is anything to copy
    worker_data& operator=(const worker_data&) = delete;
    std::condition_variable called;
    bool idle = false; // guarded by the queue's lock
  };

  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator*) {}
    std::mutex lock;
    std::deque<caf::resumable*> ready;
    std::vector<worker_data*> idle; // who rested last is called first
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* job) {
    enqueue(d(self), job);
  }
  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* job) {
    enqueue(d(self->parent()), job);
  }
  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* job) {
    enqueue(d(self->parent()), job);
  }
  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* job) {
    enqueue(d(self->parent()), job);
  }

  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    auto& all = d(self->parent());
    auto& own = d(self);
    works_for = &all;
    std::unique_lock guard(all.lock);
    while (all.ready.empty()) {
      halt_poll::rest();
      own.idle = true;
      all.idle.push_back(&own);
      own.called.wait(guard, [&] { return !own.idle; });
    }
    auto* out = all.ready.front();
    all.ready.pop_front();
    auto* another = all.ready.empty() ? nullptr : call(all);
    guard.unlock();
    if (another != nullptr)
      another->called.notify_one();
    return out;
  }

  template <class Worker, class Function>
  void foreach_resumable(Worker*, Function) {}
  template <class Coordinator, class Function>
  void foreach_central_resumable(Coordinator* self, Function f) {
    std::unique_lock guard(d(self).lock);
    for (auto* job : std::exchange(d(self).ready, {}))
      f(job);
  }

private:
  static void enqueue(coordinator_data& all, caf::resumable* job) {
    worker_data* called = nullptr;
    {
      std::lock_guard guard(all.lock);
      all.ready.push_back(job);
      if (works_for != &all || all.ready.size() > 1) // a worker comes for the first itself
        called = call(all);
    }
    if (called != nullptr)
      called->called.notify_one(); // not before: it would wake only to wait for the lock
  }

  // Who is to be woken; null for nobody. With the lock held.
  static worker_data* call(coordinator_data& all) {
    if (all.idle.empty())
      return nullptr;
    auto* out = all.idle.back();
    all.idle.pop_back();
    out->idle = false;
    return out;
  }

  static thread_local const coordinator_data* works_for; // in a thread that is a worker
};

thread_local const worker_queue::coordinator_data* worker_queue::works_for = nullptr;

} // namespace

void use_worker_queue(caf::actor_system_config& config) {
  config.module_factories.push_back([](caf::actor_system& system) {
    return caf::scheduler::coordinator<worker_queue>::make(system, caf::detail::type_list<>{});
  });
}

} // namespace troupe
