#include "tests/simulation/world.hpp"

#include <sodium.h>

#include <algorithm>

namespace troupe::simulation {

namespace {

constexpr micros look_every = second;

// What the program takes from the operating system's source of randomness.
dice* noise = nullptr;

const char* noise_name() { return "simulation"; }
std::uint32_t noise_word() { return static_cast<std::uint32_t>(noise->next() >> 32); }
void noise_bytes(void* const to, const std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    static_cast<unsigned char*>(to)[i] = static_cast<unsigned char>(noise->next() >> 56);
}

void take_over_randomness(dice& from) {
  static randombytes_implementation ours = {noise_name, noise_word, nullptr, nullptr, noise_bytes, nullptr};
  noise = &from;
  randombytes_set_implementation(&ours);
}

app::actor_options options_for(const scenario& what) {
  auto out = app::options_of(configuration{});
  out.directory.passivate_after_ms = what.passivate_after_ms;
  out.directory.loaders_have_threads = false;
  return out;
}

std::vector<device_model> draw_devices(dice luck, bool all_kinds) {
  std::vector<device_model> out;
  auto count = 1 + luck.below(2);
  for (std::uint64_t i = 0; i < count; ++i) {
    device_model one;
    one.name = "cpu" + std::to_string(i);
    one.slots = static_cast<std::uint32_t>(1 + luck.below(3));
    for (const auto* kind : kinds)
      if ((all_kinds && i == 0) || luck.permille(600))
        one.kinds.emplace_back(kind);
    out.push_back(std::move(one));
  }
  return out;
}

} // namespace

world::world(const scenario& what, bool told)
  : what_(what), story_(time_, told), root_(what.seed), turns_(root_.stream("turns")), auditor_(time_, story_),
    authors_({what.work_ms, what.spoilt, what.urgencies, what.speculative}, root_.stream("authors")),
    lines_(time_, story_, root_.stream("lines")) {
  for (std::size_t i = 0; i < what_.nodes; ++i) {
    auto name = "node" + std::to_string(i);
    nodes_.push_back(std::make_unique<node_model>(name, draw_devices(root_.stream(name), i == 0), time_, lines_, blobs_,
                                                  story_, root_.stream(name + " luck")));
  }
  for (std::size_t i = 0; i < what_.accounts; ++i)
    clients_.push_back({"a" + std::to_string(i), false, {}, {}, {}, {}, false, 0});
}

verdict world::run() {
  auto randomness = root_.stream("randomness");
  take_over_randomness(randomness);
  boot();
  found_studio();
  for (const auto& one : what_.steps)
    time_.at(one.at, [this, one] {
      story_.say("-- {}", name_of(one.what));
      if (one.what >= first_fault)
        do_fault(one);
      else if (one.what >= act::drain)
        do_operator(one);
      else
        do_request(one);
    });
  time_.at(3 * second + what_.duration, [this] { calm_down(); });
  while (auditor_.is_content() && !is_over() && step_once())
    ++events_;
  if (auditor_.is_content())
    auditor_.final_audit();
  if (auditor_.is_content())
    look_again();
  verdict out;
  out.complaint = auditor_.complaint();
  out.hash = story_.hash();
  out.simulated = time_.now();
  out.events = events_;
  out.jobs = auditor_.counted().jobs;
  out.attempts = auditor_.counted().attempts;
  out.came_back = auditor_.counted().came_back;
  out.transfers = auditor_.counted().transfers;
  out.accepted = auditor_.counted().accepted;
  out.heads = lives_;
  out.frames = lines_.frames;
  out.story = story_.lines();
  head_.reset();
  return out;
}

bool world::step_once() {
  auto due = time_.next();
  bool hold_back = time_.now() < stalled_until_ && due && *due < stalled_until_ && turns_.permille(500);
  if (head_ && head_->has_work() && !hold_back) {
    head_->work(what_.order, turns_);
    story_.mix(events_);
    return true;
  }
  auto alarm = head_ ? head_->next_timeout() : std::nullopt;
  if (alarm && (!due || *alarm < *due)) {
    time_.advance_to(*alarm);
    head_->catch_up();
    return true;
  }
  if (!due)
    return false;
  time_.advance_to(*due);
  if (head_)
    head_->catch_up();
  time_.run_next();
  return true;
}

// -- the head ---------------------------------------------------------------------------------------------------------

void world::boot() {
  ++lives_;
  story_.say("head: life {} begins", lives_);
  if (auto wrong = authors_.begin(); !wrong.empty())
    auditor_.complain(wrong);
  auto written = [this](const storage::batch& what) { auditor_.on_batch(what); };
  auto is_here = [this](const wire::artifact& file) { return blobs_.files.contains(file.sha256); };
  head_ = std::make_unique<head>(
      head::surroundings{time_, story_, disk_, disk_does_, lines_, written, options_for(what_), is_here},
      root_.stream("life " + std::to_string(lives_)));
  auto& link = head_->link();
  auto node_of = [this](const std::string& key) -> node_model* {
    for (auto& node : nodes_)
      if (key.starts_with("key-of-" + node->name() + "-"))
        return node.get();
    return nullptr;
  };
  link.on_send = [this, node_of](const std::string& key, const wire::to_node& message) {
    auto* node = node_of(key);
    std::uint32_t slots = 0;
    if (auto given = std::get_if<wire::assign>(&message))
      for (const auto& d : node->devices())
        slots = d.name == given->device ? d.slots : slots;
    auditor_.on_sent(node->name(), slots, message);
  };
  link.on_hear = [this, node_of](const std::string& key, const wire::from_node& message) {
    auditor_.on_said(node_of(key)->name(), message);
  };
  link.on_close = [this, node_of](const std::string& key) { auditor_.on_node_lost(node_of(key)->name()); };
  head_->database().journal().on_feed([this](const account_id& account, std::uint64_t) {
    for (std::size_t i = 0; i < clients_.size(); ++i)
      if (clients_[i].account == account.value)
        time_.after(millisecond, [this, i] { pump(i); });
  });
  head_->resume_jobs();
}

void world::crash(micros for_so_long) {
  if (!head_)
    return;
  story_.say("head: it dies, for {} ms", for_so_long / millisecond);
  auditor_.on_head_died();
  head_.reset();
  time_.after(for_so_long, [this] {
    if (!head_)
      boot();
  });
}

// -- the end ----------------------------------------------------------------------------------------------------------

// No more faults: everything is whole again, and all that was begun must end.
void world::calm_down() {
  story_.say("-- calm: no more faults");
  calm_ = true;
  calm_since_ = time_.now();
  stalled_until_ = 0;
  disk_does_ = {};
  for (auto& node : nodes_) {
    lines_.behaviour(node->name()) = {};
    lines_.release(node->name());
    for (auto& device : node->devices())
      device.slower = 1, device.faults = device.out_of_memory = device.hangs = device.unknown = 0;
    node->thaw();
    node->start();
  }
  tend();
  watch_for_idlers();
}

// The operator lets every node in, until all is as it should be; and looks again, as a device may be quarantined late.
void world::tend() {
  for (auto& node : nodes_) {
    if (!head_)
      break;
    auto record = head_->nodes().find(node->name());
    if (!record || record->public_key != node->key()) {
      let_in_.erase(node->name());
      allow(*node);
    } else if (!record->devices.empty()) {
      head_->ask_cluster(set_state{node->name(), record->devices.begin()->first, enabled, {}}, [](const auto&) {});
    } else {
      head_->ask_cluster(set_state{node->name(), "", enabled, {}}, [this, name = node->name()](const auto& done) {
        if (done)
          let_in_.insert(name);
      });
    }
  }
  time_.after(let_in_.size() < nodes_.size() ? 3 * second : minute, [this] { tend(); });
}

bool world::is_over() {
  if (!calm_ || time_.now() < calm_since_ + 2 * second || time_.now() < looked_at_ + 100 * millisecond)
    return false;
  looked_at_ = time_.now();
  bool done = auditor_.open_jobs() == 0 && head_ != nullptr;
  for (const auto& w : wishes_)
    done = done && w->settled;
  for (const auto& node : nodes_)
    done = done && node->is_idle() && node->is_welcome();
  if (done)
    return true;
  deadline_ = std::max(deadline_, calm_since_ + 3 * minute + auditor_.work_left());
  if (time_.now() > deadline_)
    auditor_.complain(fmt::format("not all has ended {} s after the last fault: {} jobs are open",
                                  (time_.now() - calm_since_) / second, auditor_.open_jobs()));
  return false;
}

// No stage waits while a device that could run it has had nothing to do for longer than the head may take to notice:
// a device is held back for what it may still run (30 s), a job that does not answer is given up (30 s) and asked again
// (2 s), a node is lost (5 s), a request is given up (20 s).
void world::watch_for_idlers() {
  constexpr micros bound = 90 * second;
  auto now = time_.now();
  std::map<std::string, micros> idle;
  for (const auto& node : nodes_)
    for (const auto& d : node->devices()) {
      auto name = node->name() + "/" + d.name;
      if (node->is_welcome() && let_in_.contains(node->name()) && auditor_.given_to(node->name(), d.name) < d.slots)
        idle[name] = idle_since_.contains(name) ? idle_since_[name] : now;
    }
  idle_since_ = std::move(idle);
  std::map<std::pair<std::string, std::size_t>, micros> waiting;
  for (const auto& stage : auditor_.ready_stages()) {
    auto known = waiting_since_.find({stage.job, stage.index});
    auto since = known == waiting_since_.end() ? now : known->second;
    waiting[{stage.job, stage.index}] = since;
    for (const auto& node : nodes_)
      for (const auto& d : node->devices()) {
        auto name = node->name() + "/" + d.name;
        bool fits = std::find(d.kinds.begin(), d.kinds.end(), stage.kind) != d.kinds.end();
        auto at = idle_since_.find(name);
        if (fits && !stage.failed_on.contains(name) && at != idle_since_.end() && now - at->second > bound &&
            now - since > bound)
          auditor_.complain(fmt::format("stage {} of job {} has waited for {} s and {} has been idle", stage.index,
                                        stage.job, (now - since) / second, name));
      }
  }
  waiting_since_ = std::move(waiting);
  time_.after(look_every, [this] { watch_for_idlers(); });
}

void world::look_again() {
  crash(second);
  auto until = time_.now() + minute;
  std::size_t answers = 0, wanted = 0;
  time_.after(2 * second, [this, &answers, &wanted] {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      ++wanted;
      clients_[i].listens = true;
      for (auto told = auditor_.told_to(clients_[i].account); clients_[i].heard < told && auditor_.is_content();) {
        auto before = clients_[i].heard;
        pump(i);
        if (clients_[i].heard == before)
          auditor_.complain(fmt::format("the log of {} ends at {} of {}", clients_[i].account, before, told));
      }
      read_books ask;
      ask.account = clients_[i].account;
      head_->ask(std::move(ask), false, [this, i, &answers](const caf::expected<books>& answer) {
        ++answers;
        const auto& name = clients_[i].account;
        if (!answer || answer->balance != auditor_.wallet(name) || answer->held != auditor_.held(name))
          auditor_.complain(fmt::format("after a restart {} has {}, not {}", name, answer ? answer->balance : -1,
                                        auditor_.wallet(name)));
      });
    }
  });
  while (auditor_.is_content() && (wanted == 0 || answers < wanted) && time_.now() < until && step_once())
    ++events_;
  if (answers < wanted)
    auditor_.complain("after a restart the books are not told");
  for (const auto in : {storage::table::open_jobs, storage::table::open_holds})
    if (!disk_.rows(in).empty())
      auditor_.complain(
          fmt::format("all has ended and table {} has a row {}", static_cast<int>(in), disk_.rows(in).begin()->first));
}

verdict run(const scenario& what, bool told) { return world(what, told).run(); }

} // namespace troupe::simulation
