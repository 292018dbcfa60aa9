#pragma once

// The head's end of the node protocol: a ROUTER socket with CURVE on a thread of its own, the list of allowed keys
// (ZAP), and artifact transfers on another thread. What nodes say to actors comes out of `on_message`; the rest stays
// here.

#include "common/check.hpp"
#include "gpu/wire/messages.hpp"
#include "storage/blobs.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::link {

/// The version of the wire is wire::protocol_version. What the link does by itself: the key check, `fetch`, `put` and
/// `put_chunk`, refusing a peer whose first frame is no `hello` or that sends a malformed one, closing a peer that has
/// said nothing for a minute. Heartbeats to nodes are the handler's to send; a send is also what notices that a peer is
/// gone.

/// A CURVE key pair, Z85 text (40 characters each), as of zmq_curve_keypair(3).
struct key_pair {
  std::string public_key, secret_key;
};
key_pair make_key_pair();
/// Reads a pair from a file, making it (mode 0600, synced) where there is none. Errors: `io`, `malformed`.
result<key_pair> load_or_make_key_pair(const std::string& path);

/// A live connection of an authenticated node. Authority comes from `public_key` (the socket's User-Id), never from the
/// routing id, which the client may pick.
struct peer {
  std::string connection; // opaque; valid until it is closed
  std::string public_key;
};

/// Of what one node says and the actors have not dealt with yet. From `losable_…` on what may be lost is passed over.
struct admission_limits {
  std::size_t losable_messages_max = 256, losable_bytes_max = 1 << 20;
  std::size_t messages_max = 10'000, bytes_max = 8 << 20; // from here on its peer is cut
};

struct head_link_options {
  std::vector<std::string> endpoints; // "tcp://127.0.0.1:7707", "ipc:///…/node.sock"
  key_pair keys;
  std::size_t outbox_max = 100'000; // frames waiting to be sent, over all peers
  admission_limits admission = {};
};

struct link_counters {
  std::uint64_t frames_in = 0, frames_out = 0, malformed = 0, denied = 0, undeliverable = 0;
  std::uint64_t unknown_fields = 0; // frames that were taken but for fields that this version does not know
  std::uint64_t passed_over = 0;    // progress and previews that came while the head was behind
};

struct head_link_handler {
  /// A key is allowed to talk. Asked on the ZAP thread, at each handshake.
  std::function<bool(const std::string& public_key)> allowed;
  /// hello, node_heartbeat, progress, preview, finished, failed, goodbye. Transfers show up as a node_heartbeat now and
  /// then, since on a slow line the node's own wait behind them. The size of its frame, and the peer's key, are to be
  /// told to handled() in the end. On the link's thread: must not block.
  std::function<void(const peer&, wire::from_node&&, std::size_t bytes)> on_message;
  /// The peer sent a malformed frame, more than is dealt with, or cannot be reached any more: it is closed and will not
  /// be heard again until it dials anew. A peer that was closed before it said hello has no connection. On the link's
  /// thread.
  std::function<void(const peer&, const std::string& reason)> on_closed;
  /// The peer says fields that this head does not know: they were ignored. Once for each name on a connection, after
  /// the message that had it. On the link's thread.
  std::function<void(const peer&, const std::string& fields)> on_unknown_fields;
  /// An artifact's file no longer has the content of its name; it was set aside and is gone. On the transfer thread:
  /// may block shortly.
  std::function<void(const std::string& sha256)> on_corrupt;
};

class head_link {
public:
  /// Who speaks through a link: it must outlive them, which its end checks.
  class speaker {
  public:
    explicit speaker(head_link& link) : link_(&link) { ++link.speakers_; }
    speaker(const speaker&) = delete;
    speaker& operator=(const speaker&) = delete;
    ~speaker() { fall_silent(); }
    head_link* operator->() const { return link_; }
    head_link& operator*() const { return *link_; }
    explicit operator bool() const { return link_ != nullptr; }
    /// For good.
    void fall_silent() {
      if (auto* link = std::exchange(link_, nullptr))
        --link->speakers_;
    }

  private:
    head_link* link_;
  };

  /// Errors: `address_in_use`, `link` with the reason.
  static result<std::unique_ptr<head_link>> open(const head_link_options& options, storage::blob_store& blobs,
                                                 head_link_handler handler);
  virtual ~head_link() { TROUPE_CHECK(speakers_ == 0); }
  /// From any thread; never blocks. False when the outbox is full.
  virtual bool send(const std::string& connection, wire::to_node message) = 0;
  /// Stops hearing a peer, telling it why.
  virtual void close(const std::string& connection, const std::string& reason) = 0;
  /// All that comes of a message that on_message told, however it ended, is done; until then it counts toward what the
  /// head takes in of this node. From any thread.
  virtual void handled(const std::string& public_key, std::size_t bytes) = 0;
  /// Where it listens, ports filled in.
  virtual std::vector<std::string> endpoints() const = 0;
  virtual link_counters counters() const = 0;

private:
  std::atomic<int> speakers_{0};
};

} // namespace troupe::link
