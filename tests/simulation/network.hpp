#pragma once

// The lines between nodes and the head, and the head's end of them (link::head_link). Frames are those of gpu/wire. A
// line may be cut in one direction or both (frames wait, as TCP lets them), be slow, deliver twice or out of order; a
// connection that is given up loses what was under way.

#include "gpu/link/head_link.hpp"
#include "tests/simulation/dice.hpp"
#include "tests/simulation/story.hpp"

#include <deque>
#include <map>
#include <memory>
#include <set>

namespace troupe::simulation {

/// What a line does to frames, until it is changed.
struct line_behaviour {
  bool to_head_cut = false, to_node_cut = false;
  micros delay_least = 100, delay_most = 2 * millisecond;
  std::int64_t twice = 0, out_of_order = 0; // permille of the frames
  bool whole() const { return !to_head_cut && !to_node_cut; }
};

/// A node's ear.
class line_end {
public:
  virtual ~line_end() = default;
  virtual void hear(std::uint64_t dialled, const std::string& frame) = 0;
  /// The head's process is gone, and the line with it.
  virtual void dropped(std::uint64_t dialled) = 0;
};

class head_end;

class network {
public:
  network(timeline& time, story& told, dice luck) : time_(time), story_(told), luck_(luck) {}

  void join(const std::string& node, line_end& end) { lines_[node].end = &end; }
  line_behaviour& behaviour(const std::string& node) { return lines_[node].behaviour; }
  /// After a change of what is cut: what waited goes on.
  void release(const std::string& node);

  /// Dials; 0 when nobody answers or the key is refused in the handshake.
  std::uint64_t dial(const std::string& node, const std::string& key);
  void hang_up(std::uint64_t dialled);
  bool stands(std::uint64_t dialled) const { return dialled_.contains(dialled); }
  void to_head(std::uint64_t dialled, std::string frame);
  void to_node(std::uint64_t dialled, std::string frame);

  /// The life of the head that listens; none: nobody does.
  void listen(head_end* head);
  std::uint64_t frames = 0;

private:
  enum direction : std::uint8_t { up, down };
  struct under_way {
    std::uint64_t dialled;
    std::string frame;
  };
  struct line {
    line_end* end = nullptr;
    line_behaviour behaviour;
    micros last_arrival[2] = {0, 0};
    std::deque<under_way> held[2];
  };
  struct call {
    std::string node, key;
  };
  bool is_cut(const line& on, direction way) const {
    return way == up ? on.behaviour.to_head_cut : on.behaviour.to_node_cut;
  }
  void send(direction way, std::uint64_t dialled, std::string frame);
  void arrive(direction way, const std::string& node, under_way what);

  timeline& time_;
  story& story_;
  dice luck_;
  std::map<std::string, line> lines_;
  std::map<std::uint64_t, call> dialled_;
  std::uint64_t count_ = 0;
  head_end* head_ = nullptr;
};

/// The head's end, in the place of gpu/link/head_link.cpp: names connections, wants a hello first, and hears nothing
/// more of what it closed.
class head_end final : public link::head_link {
public:
  head_end(network& lines, timeline& time, link::head_link_handler handler);
  ~head_end() override { die(); }
  void die();

  bool send(const std::string& connection, wire::to_node message) override;
  void close(const std::string& connection, const std::string& reason) override;
  void handled(const std::string&, std::size_t) override {}
  std::vector<std::string> endpoints() const override { return {"simulated"}; }
  link::link_counters counters() const override { return counters_; }

  bool allows(const std::string& key) const { return handler_.allowed(key); }
  void hear(std::uint64_t dialled, const std::string& key, const std::string& frame);

  /// Told of what is sent before it goes: the auditor listens.
  std::function<void(const std::string& key, const wire::to_node&)> on_send;
  std::function<void(const std::string& key, const wire::from_node&)> on_hear;
  std::function<void(const std::string& key)> on_close;

private:
  struct peer {
    std::uint64_t dialled;
    std::string key;
    micros heard_at;
  };
  void drop(const std::string& connection, const std::string& reason);
  void sweep();

  network& lines_;
  timeline& time_;
  link::head_link_handler handler_;
  std::map<std::string, peer> peers_; // by connection
  std::map<std::uint64_t, std::string> connections_;
  std::set<std::uint64_t> closed_;
  std::uint64_t named_ = 0;
  link::link_counters counters_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace troupe::simulation
