#include "tests/simulation/node.hpp"

#include <algorithm>

namespace troupe::simulation {

namespace {

constexpr micros tick_every = 250 * millisecond, answer_time = 5 * second, settled = 2 * second;
constexpr int missed_heartbeats = 5;

// The content's name: what an attempt makes is its own.
std::string name_of_content(const wire::attempt_ref& ref) {
  auto bits = dice(0).stream(ref.job + "/" + std::to_string(ref.stage) + "/" + std::to_string(ref.attempt));
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (int i = 0; i < 4; ++i)
    for (auto word = bits.next(), n = std::uint64_t{16}; n > 0; --n, word >>= 4)
      out += digits[word & 15];
  return out;
}

} // namespace

node_model::node_model(std::string name, std::vector<device_model> devices, timeline& time, network& lines,
                       blob_shelf& blobs, story& told, dice luck)
  : name_(std::move(name)), devices_(std::move(devices)), time_(time), lines_(lines), blobs_(blobs), story_(told),
    luck_(luck) {
  lines_.join(name_, *this);
}

device_model* node_model::device(const std::string& name) {
  auto found = std::find_if(devices_.begin(), devices_.end(), [&](const auto& d) { return d.name == name; });
  return found == devices_.end() ? nullptr : &*found;
}

// -- the process ------------------------------------------------------------------------------------------------------

void node_model::start() {
  if (std::exchange(up_, true))
    return;
  ++process_;
  frozen_ = false;
  heard_at_ = time_.now();
  terms_ = {};
  refused_wait_ = 0;
  for (const auto& [ref, result] : saved_)
    results_.emplace(ref, result);
  story_.say("node {} begins", name_);
  now_ = phase::waiting;
  not_before_ = time_.now();
  tick();
}

void node_model::kill() {
  if (!std::exchange(up_, false))
    return;
  story_.say("node {} is killed with {} attempts", name_, held_.size());
  ++process_;
  lines_.hang_up(dialled_);
  dialled_ = 0;
  now_ = phase::waiting;
  held_.clear();
  results_.clear();
  missed_.clear();
}

void node_model::leave() {
  if (!up_ || frozen_)
    return;
  say(wire::goodbye{"the node stops"});
  dialled_ = 0; // nobody hangs up: what was said is on its way
  kill();
}

void node_model::thaw() {
  if (!std::exchange(frozen_, false))
    return;
  story_.say("node {} goes on", name_);
  for (auto& what : std::exchange(missed_, {}))
    later(0, std::move(what));
}

void node_model::later(micros delay, std::function<void()> what) {
  time_.after(delay, [this, process = process_, what = std::move(what)]() mutable {
    if (process != process_)
      return;
    if (frozen_)
      missed_.push_back(std::move(what));
    else
      what();
  });
}

// -- the line ---------------------------------------------------------------------------------------------------------

void node_model::tick() {
  auto now = time_.now();
  if (now_ == phase::waiting && now >= not_before_)
    dial();
  bool welcomed = now_ == phase::welcomed;
  if (welcomed && now - heard_at_ > micros{terms_.heartbeat_ms} * millisecond * missed_heartbeats)
    hang_up(0);
  else if ((now_ == phase::greeted || now_ == phase::dialling) && now - dialled_at_ > answer_time)
    hang_up(0);
  if (now_ == phase::dialling)
    greet();
  if (now_ >= phase::greeted && now - beat_at_ >= micros{terms_.heartbeat_ms} * millisecond) {
    beat_at_ = now;
    say(wire::node_heartbeat{now / millisecond});
  }
  if (now_ != phase::welcomed && now - heard_at_ > micros{terms_.lease_ms} * millisecond) {
    std::vector<wire::attempt_ref> all;
    for (const auto& [ref, a] : held_)
      if (a.why == break_off::none)
        all.push_back(ref);
    for (const auto& ref : all)
      break_off_one(ref, break_off::abandoned);
  }
  std::vector<wire::attempt_ref> late;
  for (const auto& [ref, a] : held_)
    if (a.running && a.why == break_off::none && a.what.timeout_ms > 0 &&
        now - a.began_at > micros{a.what.timeout_ms} * millisecond)
      late.push_back(ref);
  for (const auto& ref : late)
    break_off_one(ref, break_off::timed_out);
  later(tick_every, [this] { tick(); });
}

void node_model::dial() {
  now_ = phase::dialling;
  dialled_at_ = time_.now();
}

void node_model::greet() {
  dialled_ = lines_.dial(name_, key());
  if (dialled_ == 0)
    return; // the socket goes on trying
  wire::hello hello;
  hello.node = name_;
  hello.session = name_ + "-" + std::to_string(process_);
  wire::engine_report engine{"simulated", "1", {}, true, "", ""};
  std::set<std::string> kinds;
  for (const auto& d : devices_) {
    hello.devices.push_back({d.name, d.type, "model", d.slots, 16'384, d.kinds});
    kinds.insert(d.kinds.begin(), d.kinds.end());
  }
  for (const auto& kind : kinds)
    engine.operations.push_back({kind, 0, false});
  hello.engines.push_back(std::move(engine));
  for (const auto& [ref, a] : held_)
    if (a.why != break_off::abandoned)
      hello.running.push_back({ref, a.what.device});
  for (const auto& [ref, result] : results_)
    if (auto done = std::get_if<wire::finished>(&result))
      hello.unacknowledged.push_back(*done);
    else
      hello.unacknowledged_failures.push_back(std::get<wire::failed>(result));
  story_.say("node {} says hello: runs {}, unacknowledged {}", name_, hello.running.size(), results_.size());
  now_ = phase::greeted;
  beat_at_ = dialled_at_ = time_.now();
  lines_.to_head(dialled_, wire::encode(wire::from_node{hello}));
}

void node_model::say(const wire::from_node& message) {
  if (now_ >= phase::greeted)
    lines_.to_head(dialled_, wire::encode(message));
}

void node_model::hang_up(micros wait) {
  story_.say("node {} hangs up", name_);
  lines_.hang_up(dialled_);
  dialled_ = 0;
  now_ = phase::waiting;
  not_before_ = time_.now() + wait;
}

void node_model::dropped(std::uint64_t dialled) {
  if (up_ && dialled == dialled_)
    later(luck_.between(50, 500) * millisecond, [this, dialled] {
      if (dialled == dialled_)
        hang_up(0);
    });
}

void node_model::hear(std::uint64_t dialled, const std::string& frame) {
  if (!up_)
    return;
  later(0, [this, dialled, frame] {
    auto message = wire::decode_to_node(frame);
    if (dialled != dialled_ || !message)
      return;
    heard_at_ = time_.now();
    take(*message);
  });
}

void node_model::take(const wire::to_node& message) {
  if (std::holds_alternative<wire::refused>(message)) {
    bool was_settled = now_ == phase::welcomed && time_.now() - dialled_at_ > settled;
    refused_wait_ = was_settled ? 0 : std::clamp<micros>(refused_wait_ * 2, 250 * millisecond, 5 * second);
    story_.say("node {} is refused: {}", name_, std::get<wire::refused>(message).reason);
    hang_up(refused_wait_);
  } else if (auto terms = std::get_if<wire::welcome>(&message)) {
    terms_ = *terms;
    now_ = phase::welcomed;
  } else if (auto assign = std::get_if<wire::assign>(&message)) {
    on(*assign);
  } else if (auto cancel = std::get_if<wire::cancel>(&message)) {
    on(*cancel);
  } else if (auto noted = std::get_if<wire::acknowledge>(&message)) {
    results_.erase(noted->ref);
    saved_.erase(noted->ref);
  }
}

// -- attempts; the rules of gpu/node/executor.cpp ---------------------------------------------------------------------

wire::failed node_model::failure(const attempt& a, const std::string& fault, const std::string& message) const {
  auto run_ms = a.running ? static_cast<std::uint32_t>((time_.now() - a.began_at) / millisecond) : 0;
  return {a.what.ref, a.what.device, fault, message, {}, run_ms};
}

void node_model::on(const wire::assign& m) {
  if (held_.contains(m.ref))
    return;
  if (auto known = results_.find(m.ref); known != results_.end()) {
    std::visit([this](const auto& x) { say(x); }, known->second);
    return;
  }
  auto next = held_.lower_bound(m.ref);
  if (next != held_.end() && next->first.job == m.ref.job && next->first.stage == m.ref.stage)
    return; // a newer attempt of it is here
  auto on = device(m.device);
  if (on == nullptr || std::find(on->kinds.begin(), on->kinds.end(), m.kind) == on->kinds.end()) {
    wire::failed no{m.ref, m.device, "device", "this node has no such device or operation", {}, 0};
    results_.emplace(m.ref, no);
    say(no);
    return;
  }
  std::vector<wire::attempt_ref> older;
  for (auto i = held_.lower_bound({m.ref.job, m.ref.stage, 0});
       i != held_.end() && i->first.job == m.ref.job && i->first.stage == m.ref.stage; ++i)
    older.push_back(i->first);
  held_[m.ref].what = m;
  fill_slots(m.device);
  for (const auto& ref : older)
    break_off_one(ref, break_off::cancelled);
}

void node_model::on(const wire::cancel& m) {
  if (held_.contains(m.ref))
    break_off_one(m.ref, break_off::cancelled);
  else if (!results_.contains(m.ref))
    say(wire::failed{m.ref, "none", "cancelled", "this node does not run it", {}, 0});
}

void node_model::fill_slots(const std::string& name) {
  auto on = device(name);
  auto busy = std::count_if(held_.begin(), held_.end(),
                            [&](const auto& x) { return x.second.what.device == name && x.second.running; });
  for (auto& [ref, a] : held_)
    if (on != nullptr && busy < on->slots && a.what.device == name && !a.running) {
      begin(a);
      ++busy;
    }
}

void node_model::begin(attempt& a) {
  const auto& on = *device(a.what.device);
  a.running = true;
  a.began_at = time_.now();
  a.token = ++tokens_;
  auto ref = a.what.ref;
  story_.say("node {}/{} works on {} stage {} attempt {}", name_, a.what.device, ref.job, ref.stage, ref.attempt);
  for (const auto& input : a.what.inputs) {
    auto file = blobs_.files.find(input.sha256);
    bool corrupt = file != blobs_.files.end() && file->second == blob_shelf::state::corrupt;
    if (file != blobs_.files.end() && !corrupt)
      continue;
    if (corrupt)
      blobs_.files.erase(file); // the head sets it aside
    later(luck_.between(1, 50) * millisecond, [this, ref, token = a.token, corrupt, sha256 = input.sha256] {
      end_run(ref, token, corrupt ? "corrupt_input" : "missing_input", sha256);
    });
    return;
  }
  auto work = std::max<micros>(1, a.what.params.value("ms", std::int64_t{100}) * on.slower) * millisecond;
  work = luck_.between(work / 2, work + work / 2);
  std::string fault;
  if (!a.what.params.value("fail", std::string{}).empty())
    fault = "bad_input";
  else if (luck_.permille(on.faults))
    fault = "device";
  else if (luck_.permille(on.out_of_memory))
    fault = "out_of_memory";
  else if (luck_.permille(on.unknown))
    fault = "unknown";
  else if (luck_.permille(on.hangs))
    return; // until its time is over
  for (micros at = second / 2, step = 1; at < work && step < 6; at += second * step, ++step)
    later(at, [this, ref, token = a.token, part = static_cast<double>(at) / static_cast<double>(work), step] {
      auto found = held_.find(ref);
      if (found == held_.end() || found->second.token != token || found->second.why != break_off::none)
        return;
      say(wire::progress{ref, part, "step"});
      if (step % 3 == 0)
        say(wire::preview{ref, "picture"});
    });
  later(work, [this, ref, token = a.token, fault] {
    if (fault.empty())
      deliver_outputs(ref, token);
    else
      end_run(ref, token, fault, "");
  });
}

// The files go to the head before the word that they are there.
void node_model::deliver_outputs(const wire::attempt_ref& ref, std::uint64_t token) {
  auto found = held_.find(ref);
  if (found == held_.end() || found->second.token != token || found->second.why != break_off::none)
    return;
  if (now_ != phase::welcomed || !lines_.behaviour(name_).whole())
    return later(500 * millisecond, [this, ref, token] { deliver_outputs(ref, token); });
  blobs_.files[name_of_content(ref)] = blob_shelf::state::good;
  later(luck_.between(1, 200) * millisecond, [this, ref, token] { end_run(ref, token, "", ""); });
}

void node_model::end_run(const wire::attempt_ref& ref, std::uint64_t token, std::string fault, std::string artifact) {
  auto found = held_.find(ref);
  if (found == held_.end() || found->second.token != token || found->second.why != break_off::none)
    return;
  const auto& a = found->second;
  if (!fault.empty()) {
    auto said = failure(a, fault, "simulated");
    said.artifact = std::move(artifact);
    return finish(ref, said);
  }
  wire::finished done{ref, a.what.device, "simulated/1", false, failure(a, "", "").run_ms, {}};
  done.outputs.push_back({"data", name_of_content(ref), 1000, "application/octet-stream", json::object()});
  saved_.emplace(ref, done);
  finish(ref, done);
}

void node_model::break_off_one(const wire::attempt_ref& ref, break_off why) {
  auto found = held_.find(ref);
  if (found == held_.end() || found->second.why != break_off::none)
    return;
  found->second.why = why;
  auto stop = [this, ref] {
    auto at = held_.find(ref);
    if (at == held_.end())
      return;
    if (at->second.why == break_off::abandoned)
      return finish(ref, std::nullopt);
    finish(ref, failure(at->second, at->second.why == break_off::timed_out ? "timeout" : "cancelled", "broken off"));
  };
  if (!found->second.running)
    stop();
  else
    later(luck_.between(1, 400) * millisecond, stop); // engines take a moment to stop
}

void node_model::finish(const wire::attempt_ref& ref, std::optional<report> outcome) {
  auto device = held_.at(ref).what.device;
  held_.erase(ref);
  ++ran;
  if (outcome)
    results_.emplace(ref, *outcome);
  else
    outcome = wire::failed{ref, device, "cancelled", "the node was out of touch, and gave it up", {}, 0};
  if (auto bad = std::get_if<wire::failed>(&*outcome))
    story_.say("node {}/{}: {} stage {} attempt {} failed: {}", name_, device, ref.job, ref.stage, ref.attempt,
               bad->fault);
  else
    story_.say("node {}/{}: {} stage {} attempt {} is done", name_, device, ref.job, ref.stage, ref.attempt);
  std::visit([this](const auto& x) { say(x); }, *outcome);
  fill_slots(device);
}

} // namespace troupe::simulation
