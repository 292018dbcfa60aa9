#pragma once

// A node's end of the node protocol: a DEALER socket with CURVE on a thread of its own. It dials, says hello, sends
// heartbeats, and dials anew when the head falls silent, refuses it, or the line drops.

#include "gpu/link/head_link.hpp"
#include "gpu/wire/messages.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::link {

struct node_link_options {
  std::vector<std::string> endpoints; // of the head; tried in turn
  std::string head_public_key;        // Z85
  key_pair keys;
  std::size_t outbox_max = 100'000;     // frames waiting to be sent
  std::uint32_t missed_heartbeats = 5;  // so many without a word: the head is lost
  std::uint32_t answer_ms = 5000;       // how long a welcome may take, from dialling on
  std::uint32_t redial_ms = 100;        // between attempts to reach a head that is not there, rising
  std::uint32_t redial_max_ms = 1000;   // to this
  std::uint32_t refused_max_ms = 5'000; // a head that refuses is asked again after 250 ms, rising to this
};

/// All called on the link's thread: must not block, must not throw.
struct node_link_handler {
  /// What to introduce the node with; asked when a line to the head stands. From then on send() takes messages.
  std::function<wire::hello()> say_hello;
  std::function<void(const wire::welcome&)> on_connected;
  /// Anything but welcome, refused and heartbeats.
  std::function<void(wire::to_node&&)> on_message;
  /// The connection is over; nothing of what was queued will be sent. Only after on_connected.
  std::function<void(const std::string& reason)> on_lost;
};

class node_link {
public:
  /// Starts dialling; that the head is not there is no error. Errors: `malformed` (a key or an endpoint), `link`.
  static result<std::unique_ptr<node_link>> open(const node_link_options& options, node_link_handler handler);
  /// Sends what is queued, waiting for it 200 ms at most. No callback runs after it.
  virtual ~node_link() = default;
  /// From any thread; never blocks. False when there is no head to send to, or too much waits.
  virtual bool send(wire::from_node message) = 0;
  /// Whether the head has welcomed this node and is heard.
  virtual bool connected() const = 0;
  /// When the head was last heard (steady_ms), or when this was opened.
  virtual std::int64_t heard_at() const = 0;
};

} // namespace troupe::link
