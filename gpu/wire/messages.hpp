#pragma once

// What head and node say to each other: one MessagePack map to a frame, {"t": type, …}. docs/node-protocol.md is the
// public description. Unknown fields are ignored and told of, unknown types are refused.

#include "common/json.hpp"
#include "common/result.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe::wire {

/// The protocol's version; a head serves nodes of this and the one before.
inline constexpr int protocol_version = 1;

/// The versions that one side speaks, from the oldest to the newest.
struct version_range {
  int oldest = 1, newest = 1;
};
inline constexpr version_range versions_of(int newest) { return {std::max(1, newest - 1), newest}; }
inline constexpr version_range spoken_versions = versions_of(protocol_version);
/// The highest that both speak, if there is one.
inline constexpr std::optional<int> common_version(version_range a, version_range b) {
  auto highest = std::min(a.newest, b.newest);
  return highest >= std::max(a.oldest, b.oldest) ? std::optional(highest) : std::nullopt;
}
std::string to_string(version_range versions);

inline constexpr std::size_t frame_bytes_max = 2 << 20;
inline constexpr std::size_t chunk_bytes = 512 << 10;
inline constexpr std::size_t uploads_max = 8; // of a node, open at once

/// One try of one stage of one job. A report whose attempt is not the current one is dropped.
struct attempt_ref {
  std::string job;
  std::uint32_t stage = 0;   // index in the run
  std::uint64_t attempt = 0; // rises, also across restarts of the head
  friend auto operator<=>(const attempt_ref&, const attempt_ref&) = default;
};

/// A file by its content.
struct artifact {
  std::string port;
  std::string sha256;
  std::uint64_t bytes = 0;
  std::string content_type;
  json metadata = json::object();
};

struct operation_report {
  std::string kind; // "scene.video"
  std::uint32_t vram_mib = 0;
  bool preview = false; // an embedded stand-in
};

struct engine_report {
  std::string name, version;
  std::vector<operation_report> operations;
  bool available = true;
  std::string reason; // why not
  std::string needs;
};

struct device_report {
  std::string name;  // unique on the node: "cpu0", "cuda0"
  std::string type;  // "cpu", "cuda"
  std::string model; // of the hardware; those of one type and model are taken to be equally fast
  std::uint32_t slots = 1;
  std::uint32_t vram_mib = 0;
  std::vector<std::string> kinds; // operations it can run
};

struct running_report {
  attempt_ref ref;
  std::string device;
};

// -- node → head ------------------------------------------------------------------------------------------------------

struct finished {
  attempt_ref ref;
  std::string device, engine; // engine: "scene/1"
  bool preview = false;
  std::uint32_t run_ms = 0;      // of the engine, with the loading of a model, without the transfers
  std::vector<artifact> outputs; // already on the head
  std::int64_t transfer_ms = -1; // of fetching its inputs, before the run; -1: the node does not say
};

struct failed {
  attempt_ref ref;
  std::string device;
  // bad_input, out_of_memory, device, unsuited, unknown, cancelled, timeout, missing_input, corrupt_input
  std::string fault;
  std::string message;
  std::string artifact; // of missing_input and corrupt_input: which
  std::uint32_t run_ms = 0;
};

/// First on every connection. Says what still runs and what ended unacknowledged, so that a head that restarts takes it
/// back.
struct hello {
  int version = protocol_version;              // the newest that it speaks
  int oldest_version = spoken_versions.oldest; // a node that does not say speaks only the one
  std::string node;                            // the name it goes by
  std::string session;                         // made anew by each process
  std::vector<device_report> devices;
  std::vector<engine_report> engines;
  std::vector<running_report> running;
  std::vector<finished> unacknowledged;
  std::vector<failed> unacknowledged_failures;
};

struct node_heartbeat {
  std::int64_t at = 0;
};
struct progress {
  attempt_ref ref;
  double fraction = 0;
  std::string step;
};
struct preview {
  attempt_ref ref;
  std::string jpeg;
};
/// Asks for bytes from `offset` on; the head sends up to `credit` chunks.
struct fetch {
  std::string sha256;
  std::uint64_t offset = 0;
  std::uint32_t credit = 1;
};
/// Offers an artifact; the head answers put_ready with the offset to go on from, or done.
struct put {
  std::string sha256;
  std::uint64_t bytes = 0;
};
struct put_chunk {
  std::string sha256;
  std::uint64_t offset = 0;
  std::string data;
};
struct goodbye {
  std::string reason;
};

using from_node =
    std::variant<hello, node_heartbeat, progress, preview, finished, failed, fetch, put, put_chunk, goodbye>;

// -- head → node ------------------------------------------------------------------------------------------------------

struct welcome {
  int version = protocol_version; // what is spoken from here on
  std::uint32_t heartbeat_ms = 1000;
  std::uint32_t lease_ms = 30'000; // a node out of touch for longer stops its attempts
};
/// The head will not talk to this node, or not any more: it closes the connection and may dial again.
struct refused {
  std::string reason;
};
struct head_heartbeat {
  std::int64_t at = 0;
};

struct assign {
  attempt_ref ref;
  std::string device, kind;
  json params = json::object();
  std::vector<artifact> inputs;
  std::uint32_t timeout_ms = 0; // 0: none
};
struct cancel {
  attempt_ref ref;
};
/// The result is durable: the node may forget it.
struct acknowledge {
  attempt_ref ref;
};
/// Bytes of an artifact, or why there are none: error is "", "missing", "corrupt" or "io".
struct chunk {
  std::string sha256;
  std::uint64_t offset = 0, total = 0;
  std::string data, error;
};
/// Go on from `offset`, with at most `credit` chunks before the next put_ready. error: "", "mismatch" (the content has
/// another hash or length), "full" (no space: try again later), "io", "unknown" (offer it again with put).
struct put_ready {
  std::string sha256;
  std::uint64_t offset = 0;
  std::uint32_t credit = 0;
  bool done = false;
  std::string error;
};

using to_node = std::variant<welcome, refused, head_heartbeat, assign, cancel, acknowledge, chunk, put_ready>;

/// One frame. Encoding never fails.
std::string encode(const from_node& message);
std::string encode(const to_node& message);
/// Errors: `malformed_frame` (not MessagePack, too large, a field missing or of a wrong type or out of range),
/// `unknown_message` (a type this version does not know). Fields that this version does not know are ignored; the first
/// few of their names, cleaned, are added to `unknown`.
result<from_node> decode_from_node(std::string_view frame, std::vector<std::string>* unknown = nullptr);
result<to_node> decode_to_node(std::string_view frame, std::vector<std::string>* unknown = nullptr);

} // namespace troupe::wire
