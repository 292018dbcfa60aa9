#include "tests/simulation/network.hpp"

namespace troupe::simulation {

namespace {

constexpr micros silent_max = 60 * second; // peer_limits::silent_ms_max

} // namespace

std::uint64_t network::dial(const std::string& node, const std::string& key) {
  const auto& on = lines_[node];
  if (head_ == nullptr || !on.behaviour.whole() || !head_->allows(key))
    return 0;
  dialled_[++count_] = {node, key};
  return count_;
}

void network::hang_up(std::uint64_t dialled) { dialled_.erase(dialled); }

void network::listen(head_end* head) {
  head_ = head;
  if (head != nullptr)
    return;
  auto calls = std::exchange(dialled_, {});
  for (const auto& [dialled, who] : calls)
    lines_[who.node].end->dropped(dialled);
}

void network::to_head(std::uint64_t dialled, std::string frame) { send(up, dialled, std::move(frame)); }
void network::to_node(std::uint64_t dialled, std::string frame) { send(down, dialled, std::move(frame)); }

void network::send(direction way, std::uint64_t dialled, std::string frame) {
  auto found = dialled_.find(dialled);
  if (found == dialled_.end())
    return;
  ++frames;
  const auto& node = found->second.node;
  auto& on = lines_[node];
  const auto& how = on.behaviour;
  auto arrival = time_.now() + luck_.between(how.delay_least, how.delay_most);
  if (luck_.permille(how.out_of_order))
    arrival += luck_.magnitude(millisecond, 2 * second);
  else
    on.last_arrival[way] = arrival = std::max(arrival, on.last_arrival[way]);
  auto copies = luck_.permille(how.twice) ? 2 : 1;
  for (int i = 0; i < copies; ++i)
    time_.at(arrival + i * luck_.between(0, second), [this, way, node, dialled, frame] {
      arrive(way, node, {dialled, frame});
    });
}

void network::arrive(direction way, const std::string& node, under_way what) {
  auto& on = lines_[node];
  if (is_cut(on, way) || !on.held[way].empty()) {
    on.held[way].push_back(std::move(what));
    return;
  }
  auto found = dialled_.find(what.dialled);
  if (way == down && found != dialled_.end())
    on.end->hear(what.dialled, what.frame);
  else if (way == up && found != dialled_.end() && head_ != nullptr)
    head_->hear(what.dialled, std::string{found->second.key}, what.frame);
}

void network::release(const std::string& node) {
  auto& on = lines_[node];
  for (auto way : {up, down}) {
    if (is_cut(on, way))
      continue;
    for (auto& what : std::exchange(on.held[way], {}))
      arrive(way, node, std::move(what));
  }
}

// -- the head's end ---------------------------------------------------------------------------------------------------

head_end::head_end(network& lines, timeline& time, link::head_link_handler handler)
  : lines_(lines), time_(time), handler_(std::move(handler)) {
  lines_.listen(this);
  sweep();
}

void head_end::die() {
  if (std::exchange(*alive_, false))
    lines_.listen(nullptr);
}

bool head_end::send(const std::string& connection, wire::to_node message) {
  if (!*alive_)
    return true;
  auto found = peers_.find(connection);
  if (found == peers_.end()) {
    ++counters_.undeliverable;
    return true;
  }
  if (!lines_.stands(found->second.dialled)) {
    ++counters_.undeliverable;
    time_.after(100, [this, connection, weak = std::weak_ptr(alive_)] {
      if (auto alive = weak.lock(); alive && *alive)
        drop(connection, "it is gone");
    });
    return true;
  }
  ++counters_.frames_out;
  on_send(found->second.key, message);
  lines_.to_node(found->second.dialled, wire::encode(message));
  return true;
}

void head_end::close(const std::string& connection, const std::string& reason) {
  auto found = peers_.find(connection);
  if (!*alive_ || found == peers_.end())
    return;
  on_close(found->second.key);
  lines_.to_node(found->second.dialled, wire::encode(wire::to_node{wire::refused{reason}}));
  closed_.insert(found->second.dialled);
  connections_.erase(found->second.dialled);
  peers_.erase(found);
}

void head_end::hear(std::uint64_t dialled, const std::string& key, const std::string& frame) {
  if (!*alive_ || closed_.contains(dialled))
    return;
  ++counters_.frames_in;
  auto message = wire::decode_from_node(frame);
  auto known = connections_.find(dialled);
  if (!message) {
    ++counters_.malformed;
    closed_.insert(dialled);
    lines_.to_node(dialled, wire::encode(wire::to_node{wire::refused{message.error().message}}));
    if (known != connections_.end())
      drop(std::string{known->second}, message.error().message);
    return;
  }
  if (known == connections_.end()) {
    if (!std::holds_alternative<wire::hello>(*message)) {
      lines_.to_node(dialled, wire::encode(wire::to_node{wire::refused{"say hello first"}}));
      return;
    }
    known = connections_.emplace(dialled, "c" + std::to_string(++named_)).first;
    peers_[known->second] = {dialled, key, time_.now()};
  }
  auto& from = peers_.at(known->second);
  from.heard_at = time_.now();
  on_hear(key, *message);
  handler_.on_message({known->second, key}, std::move(*message), frame.size());
}

void head_end::drop(const std::string& connection, const std::string& reason) {
  auto found = peers_.find(connection);
  if (found == peers_.end())
    return;
  link::peer whom{connection, found->second.key};
  closed_.insert(found->second.dialled);
  connections_.erase(found->second.dialled);
  peers_.erase(found);
  handler_.on_closed(whom, reason);
}

void head_end::sweep() {
  time_.after(5 * second, [this, weak = std::weak_ptr(alive_)] {
    auto alive = weak.lock();
    if (!alive || !*alive)
      return;
    std::vector<std::string> silent;
    for (const auto& [connection, from] : peers_)
      if (time_.now() - from.heard_at > silent_max)
        silent.push_back(connection);
    for (const auto& connection : silent)
      drop(connection, "it was silent for too long");
    sweep();
  });
}

} // namespace troupe::simulation
