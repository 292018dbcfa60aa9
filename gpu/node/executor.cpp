#include "gpu/node/executor.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

namespace troupe::node {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t hello_reports_max = 1000, hello_report_bytes_max = 512 << 10;
constexpr std::size_t hello_running_max = 6000;

} // namespace

executor::executor(executor_options options, std::vector<work_device> devices, artifact_cache& cache,
                   node_transfers& transfers, attempt::sender send)
  : options_(std::move(options)), cache_(cache), transfers_(transfers), send_(std::move(send)),
    results_(options_.folder / "unacknowledged") {
  std::error_code ignored;
  fs::remove_all(options_.folder / "work", ignored); // what a killed process left
  for (auto& device : devices) {
    auto& to = lanes_[device.name] = std::make_unique<lane>();
    to->device = std::move(device);
    for (std::uint32_t i = 0; i < to->device.slots && !to->device.operations.empty(); ++i) {
      auto& made = to->slots.emplace_back();
      made.folder = options_.folder / "work" / (to->device.name + "-" + std::to_string(i));
      threads_.emplace_back([this, &made, on = to.get()] { work(made, *on); });
    }
  }
}

executor::~executor() {
  abandon_all("the node stops");
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
    for (auto& [name, on] : lanes_)
      for (auto& own : on->slots) {
        own.idle = false;
        own.called.notify_one();
      }
  }
  for (auto& thread : threads_)
    thread.join();
}

void executor::assign(wire::assign&& what) {
  std::unique_lock lock(mutex_);
  if (held_.contains(what.ref))
    return;
  if (const auto* known = results_.find(what.ref)) {
    std::visit([&](const auto& x) { send_(x); }, *known);
    return;
  }
  auto next = held_.lower_bound({what.ref.job, what.ref.stage, what.ref.attempt});
  if (next != held_.end() && next->first.job == what.ref.job && next->first.stage == what.ref.stage)
    return; // a newer attempt of it is here
  auto on = lanes_.find(what.device);
  if (on == lanes_.end() || !on->second->device.operations.contains(what.kind))
    return refuse(what, on == lanes_.end() ? "this node has no such device" : "this device has no such operation");
  if (on->second->waiting.size() >= options_.queue_max)
    return refuse(what, "too much is waiting for this device");
  auto older = older_than(what.ref);
  auto made = std::make_shared<attempt>(std::move(what), send_, options_.reports);
  held_.emplace(made->what.ref, made);
  on->second->waiting.push_back(made);
  auto* called = call(*on->second);
  lock.unlock();
  if (called != nullptr)
    called->called.notify_one(); // not before: it would wake only to wait for the lock. Slots stay as long as this
  break_all(older, break_off::cancelled);
}

// With mutex_ held.
void executor::refuse(const wire::assign& what, const std::string& message) {
  wire::failed no{what.ref, what.device, "device", message, {}, 0};
  results_.add(no);
  send_(std::move(no));
}

// With mutex_ held.
std::vector<executor::attempt_ptr> executor::older_than(const wire::attempt_ref& newest) const {
  std::vector<attempt_ptr> out;
  for (auto i = held_.lower_bound({newest.job, newest.stage, 0});
       i != held_.end() && i->first.job == newest.job && i->first.stage == newest.stage; ++i)
    out.push_back(i->second);
  return out;
}

void executor::cancel(const wire::attempt_ref& ref) {
  attempt_ptr held;
  {
    std::lock_guard guard(mutex_);
    auto found = held_.find(ref);
    if (found != held_.end())
      held = found->second;
    else if (!results_.find(ref))
      send_(wire::failed{ref, "none", "cancelled", "this node does not run it", {}, 0});
  }
  if (held)
    break_all({held}, break_off::cancelled);
}

void executor::break_all(const std::vector<attempt_ptr>& which, break_off why) {
  for (const auto& held : which) {
    held->stop(why);
    bool waited = false;
    {
      std::lock_guard guard(mutex_);
      auto& waiting = lanes_.at(held->what.device)->waiting;
      waited = std::erase(waiting, held) > 0;
    }
    if (!waited)
      continue;
    if (held->why() == break_off::abandoned)
      finish(held, std::nullopt);
    else
      finish(held, failed_report(*held, "cancelled", "cancelled before it began"));
  }
  transfers_.wake();
}

void executor::acknowledge(const wire::attempt_ref& ref) {
  std::lock_guard guard(mutex_);
  results_.acknowledge(ref);
}

template <class Visit>
void executor::results_for_hello(Visit visit) const {
  std::size_t count = 0, bytes = 0;
  for (const auto& [ref, result] : results_.all()) {
    bytes += std::visit([](const auto& x) { return wire::encode(wire::from_node{x}).size(); }, result);
    visit(result, ++count <= hello_reports_max && bytes <= hello_report_bytes_max);
  }
}

void executor::describe(wire::hello& out) const {
  std::lock_guard guard(mutex_);
  auto add_running = [&](const wire::attempt_ref& ref, const std::string& device) {
    if (out.running.size() < hello_running_max)
      out.running.push_back({ref, device});
  };
  for (const auto& [ref, held] : held_)
    if (held->why() != break_off::abandoned)
      add_running(ref, held->what.device);
  results_for_hello([&](const report& result, bool fits) {
    const auto* done = std::get_if<wire::finished>(&result);
    if (!fits) // said to run, until resend() says more
      std::visit([&](const auto& x) { add_running(x.ref, x.device); }, result);
    else if (done)
      out.unacknowledged.push_back(*done);
    else
      out.unacknowledged_failures.push_back(std::get<wire::failed>(result));
  });
}

void executor::resend() {
  std::lock_guard guard(mutex_);
  results_for_hello([&](const report& result, bool fits) {
    if (!fits)
      std::visit([&](const auto& x) { send_(x); }, result);
  });
}

void executor::abandon_all(const std::string& reason) {
  std::vector<attempt_ptr> all;
  {
    std::lock_guard guard(mutex_);
    for (const auto& [ref, held] : held_)
      if (held->why() == break_off::none)
        all.push_back(held);
  }
  if (!all.empty())
    log::warn("breaking off {} attempts: {}", all.size(), reason);
  break_all(all, break_off::abandoned);
}

void executor::tick() {
  std::vector<attempt_ptr> late;
  auto now = steady_ms();
  {
    std::lock_guard guard(mutex_);
    for (const auto& [ref, held] : held_) {
      if (held->timed_out(now))
        late.push_back(held);
      auto stopped = held->stopped_at();
      if (!held->running() || stopped == 0 || now - stopped < options_.stuck_ms)
        continue;
      log::critical("the engine of {} at job {} stage {} did not stop within {} ms; the node ends and starts anew",
                    held->what.kind, ref.job, ref.stage, options_.stuck_ms);
      log::default_logger()->flush();
      if (options_.on_stuck)
        options_.on_stuck();
      else
        std::_Exit(70); // no destructor could get past the engine
    }
  }
  for (const auto& held : late)
    held->stop(break_off::timed_out);
}

std::size_t executor::held() const {
  std::lock_guard guard(mutex_);
  return held_.size();
}

// Who is to be woken for what waits; null for nobody. One at a time: it calls the next one itself, and of stages that
// take no time it has done several before that. With mutex_ held.
executor::slot* executor::call(lane& on) {
  if (on.calling || on.waiting.empty() || on.idle.empty())
    return nullptr;
  auto* out = on.idle.back();
  on.idle.pop_back();
  out->idle = false;
  on.calling = true;
  return out;
}

// Waits for it. Null: the executor stops.
executor::attempt_ptr executor::next_for(slot& own, lane& on) {
  std::unique_lock lock(mutex_);
  while (on.waiting.empty() && !stopping_) {
    own.idle = true;
    on.idle.push_back(&own);
    own.called.wait(lock, [&] { return !own.idle; });
    on.calling = false;
  }
  if (on.waiting.empty())
    return nullptr;
  auto out = std::move(on.waiting.front());
  on.waiting.pop_front();
  auto* another = call(on);
  lock.unlock();
  if (another != nullptr)
    another->called.notify_one();
  return out;
}

void executor::work(slot& own, lane& on) {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), options_.nice);
  const auto& folder = own.folder;
  bool clean = clear(folder);
  while (auto next = next_for(own, on)) {
    std::optional<report> outcome;
    if (!clean && next->why() == break_off::none) {
      outcome = failed_report(*next, "device", "the node cannot make a work folder; is its disk full?");
    } else {
      const auto& with = on.device.operations.at(next->what.kind);
      outcome = run_stage(*next, {*with.engine, with.preview, folder, on.device.threads, cache_, transfers_});
    }
    finish(next, std::move(outcome));
    clean = clear(folder);
  }
}

// The folder of a slot is used again and again: most stages that need no files leave it empty, and that costs one look.
bool executor::clear(const fs::path& folder) const {
  std::error_code error;
  fs::directory_iterator files(folder, error);
  if (!error && files == fs::directory_iterator())
    return true;
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  fs::create_directories(folder, error);
  if (error)
    log::error("cannot make the work folder {}: {}", folder.string(), error.message());
  return !error;
}

void executor::finish(const attempt_ptr& done, std::optional<report> outcome) {
  if (outcome)
    if (const auto* result = std::get_if<wire::finished>(&*outcome))
      results_.save(*result); // only touches the disk
  {
    std::lock_guard guard(mutex_);
    held_.erase(done->what.ref);
    if (outcome)
      results_.add(*outcome); // before it is sent: the acknowledgement must find it
    else                      // abandoned; a head that has just heard of it must not wait for it
      outcome = failed_report(*done, "cancelled", "the node was out of touch, and gave it up");
  }
  std::visit([&](auto& x) { send_(std::move(x)); }, *outcome);
}

} // namespace troupe::node
