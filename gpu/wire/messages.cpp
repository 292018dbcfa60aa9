#include "gpu/wire/messages.hpp"

#include "common/packed.hpp"
#include "common/sha256.hpp"
#include "gpu/wire/fields.hpp"

#include <algorithm>
#include <array>

namespace troupe::wire {

namespace {

constexpr std::array faults{"bad_input", "out_of_memory", "device",        "unsuited",     "unknown",
                            "cancelled", "timeout",       "missing_input", "corrupt_input"};

packed_bytes binary(const std::string& bytes) { return {bytes}; }
std::string id_text(const std::string& text) { return clean_text(text, limits.id_bytes); }
std::string long_text(const std::string& text) { return clean_text(text, limits.text_bytes); }

template <class Value>
packed_list array_of(const std::vector<Value>& values) {
  packed_list out;
  for (const auto& value : values)
    out.push(fields_of(value));
  return out;
}

} // namespace

// -- what both sides build from ---------------------------------------------------------------------------------------

static packed_map fields_of(const attempt_ref& x) { return {"job", x.job, "stage", x.stage, "attempt", x.attempt}; }
static void read_fields(field_reader& in, attempt_ref& x) {
  in.name("job", x.job);
  in.count("stage", x.stage);
  in.count("attempt", x.attempt, 0, 1ull << 53);
}

static packed_map fields_of(const artifact& x) {
  return {"port",         x.port,
          "sha256",       x.sha256,
          "bytes",        x.bytes,
          "content_type", id_text(x.content_type),
          "metadata",     clean_object(x.metadata, limits.metadata_bytes)};
}
static void read_fields(field_reader& in, artifact& x) {
  in.name("port", x.port);
  in.hash("sha256", x.sha256);
  in.count("bytes", x.bytes, 0, limits.artifact_bytes);
  in.text("content_type", x.content_type);
  in.object("metadata", x.metadata, limits.metadata_bytes);
}

static packed_map fields_of(const operation_report& x) {
  return {"kind", x.kind, "vram_mib", x.vram_mib, "preview", x.preview};
}
static void read_fields(field_reader& in, operation_report& x) {
  in.name("kind", x.kind);
  in.count("vram_mib", x.vram_mib);
  in.flag("preview", x.preview);
}

static packed_map fields_of(const engine_report& x) {
  return {"name",      x.name,      "version", x.version,           "operations", array_of(x.operations),
          "available", x.available, "reason",  long_text(x.reason), "needs",      long_text(x.needs)};
}
static void read_fields(field_reader& in, engine_report& x) {
  in.name("name", x.name);
  in.text("version", x.version);
  in.list("operations", x.operations);
  in.flag("available", x.available);
  in.text("reason", x.reason, limits.text_bytes);
  in.text("needs", x.needs, limits.text_bytes);
}

static packed_map fields_of(const device_report& x) {
  return {"name",  x.name,  "type",     x.type,     "model", id_text(x.model),
          "slots", x.slots, "vram_mib", x.vram_mib, "kinds", x.kinds};
}
static void read_fields(field_reader& in, device_report& x) {
  in.name("name", x.name);
  in.name("type", x.type);
  in.text("model", x.model);
  in.count("slots", x.slots, 1, 1024);
  in.count("vram_mib", x.vram_mib);
  in.names("kinds", x.kinds);
}

static packed_map fields_of(const running_report& x) { return {"ref", fields_of(x.ref), "device", x.device}; }
static void read_fields(field_reader& in, running_report& x) {
  in.nested("ref", x.ref);
  in.name("device", x.device);
}

// -- node → head ------------------------------------------------------------------------------------------------------

static packed_map fields_of(const finished& x) {
  packed_map out("ref", fields_of(x.ref), "device", x.device, "engine", id_text(x.engine), "preview", x.preview);
  out.add("run_ms", x.run_ms, "outputs", array_of(x.outputs));
  if (x.transfer_ms >= 0)
    out.add("transfer_ms", x.transfer_ms);
  return out;
}
static void read_fields(field_reader& in, finished& x) {
  in.nested("ref", x.ref);
  in.name("device", x.device);
  in.text("engine", x.engine);
  in.flag("preview", x.preview);
  in.count("run_ms", x.run_ms);
  in.list("outputs", x.outputs);
  in.count_if_there("transfer_ms", x.transfer_ms, 0, UINT32_MAX);
}

static packed_map fields_of(const failed& x) {
  return {"ref",     fields_of(x.ref),     "device",   x.device,   "fault",  x.fault,
          "message", long_text(x.message), "artifact", x.artifact, "run_ms", x.run_ms};
}
static void read_fields(field_reader& in, failed& x) {
  in.nested("ref", x.ref);
  in.name("device", x.device);
  in.name("fault", x.fault);
  in.text("message", x.message, limits.text_bytes);
  in.text("artifact", x.artifact);
  in.count("run_ms", x.run_ms);
  if (std::find(faults.begin(), faults.end(), x.fault) == faults.end())
    in.refuse("fault");
  if (!x.artifact.empty() && !is_sha256(x.artifact))
    in.refuse("artifact");
}

static packed_map fields_of(const hello& x) {
  return {"version",
          x.version,
          "oldest_version",
          x.oldest_version,
          "node",
          x.node,
          "session",
          x.session,
          "devices",
          array_of(x.devices),
          "engines",
          array_of(x.engines),
          "running",
          array_of(x.running),
          "unacknowledged",
          array_of(x.unacknowledged),
          "unacknowledged_failures",
          array_of(x.unacknowledged_failures)};
}
static void read_fields(field_reader& in, hello& x) {
  in.count("version", x.version, 0, 10'000);
  x.oldest_version = x.version;
  in.count_if_there("oldest_version", x.oldest_version, 0, 10'000);
  in.name("node", x.node);
  in.name("session", x.session);
  in.list("devices", x.devices);
  in.list("engines", x.engines);
  in.list("running", x.running);
  in.list("unacknowledged", x.unacknowledged);
  in.list("unacknowledged_failures", x.unacknowledged_failures);
}

static packed_map fields_of(const node_heartbeat& x) { return {"at", x.at}; }
static void read_fields(field_reader& in, node_heartbeat& x) { in.time("at", x.at); }

static packed_map fields_of(const progress& x) {
  return {"ref", fields_of(x.ref), "fraction", x.fraction, "step", id_text(x.step)};
}
static void read_fields(field_reader& in, progress& x) {
  in.nested("ref", x.ref);
  in.fraction("fraction", x.fraction);
  in.text("step", x.step);
}

static packed_map fields_of(const preview& x) { return {"ref", fields_of(x.ref), "jpeg", binary(x.jpeg)}; }
static void read_fields(field_reader& in, preview& x) {
  in.nested("ref", x.ref);
  in.bytes("jpeg", x.jpeg, limits.jpeg_bytes);
}

static packed_map fields_of(const fetch& x) { return {"sha256", x.sha256, "offset", x.offset, "credit", x.credit}; }
static void read_fields(field_reader& in, fetch& x) {
  in.hash("sha256", x.sha256);
  in.count("offset", x.offset, 0, limits.artifact_bytes);
  in.count("credit", x.credit, 1, limits.credit);
}

static packed_map fields_of(const put& x) { return {"sha256", x.sha256, "bytes", x.bytes}; }
static void read_fields(field_reader& in, put& x) {
  in.hash("sha256", x.sha256);
  in.count("bytes", x.bytes, 0, limits.artifact_bytes);
}

static packed_map fields_of(const put_chunk& x) {
  return {"sha256", x.sha256, "offset", x.offset, "data", binary(x.data)};
}
static void read_fields(field_reader& in, put_chunk& x) {
  in.hash("sha256", x.sha256);
  in.count("offset", x.offset, 0, limits.artifact_bytes);
  in.bytes("data", x.data, chunk_bytes);
}

static packed_map fields_of(const goodbye& x) { return {"reason", long_text(x.reason)}; }
static void read_fields(field_reader& in, goodbye& x) { in.text("reason", x.reason, limits.text_bytes); }

// -- head → node ------------------------------------------------------------------------------------------------------

static packed_map fields_of(const welcome& x) {
  return {"version", x.version, "heartbeat_ms", x.heartbeat_ms, "lease_ms", x.lease_ms};
}
static void read_fields(field_reader& in, welcome& x) {
  in.count("version", x.version, 0, 10'000);
  in.count("heartbeat_ms", x.heartbeat_ms, 10, 3'600'000);
  in.count("lease_ms", x.lease_ms, 10, 7 * 86'400'000);
}

static packed_map fields_of(const refused& x) { return {"reason", long_text(x.reason)}; }
static void read_fields(field_reader& in, refused& x) { in.text("reason", x.reason, limits.text_bytes); }

static packed_map fields_of(const head_heartbeat& x) { return {"at", x.at}; }
static void read_fields(field_reader& in, head_heartbeat& x) { in.time("at", x.at); }

static packed_map fields_of(const assign& x) {
  return {"ref",        fields_of(x.ref),
          "device",     x.device,
          "kind",       x.kind,
          "params",     clean_object(x.params, limits.params_bytes),
          "inputs",     array_of(x.inputs),
          "timeout_ms", x.timeout_ms};
}
static void read_fields(field_reader& in, assign& x) {
  in.nested("ref", x.ref);
  in.name("device", x.device);
  in.name("kind", x.kind);
  in.object("params", x.params, limits.params_bytes);
  in.list("inputs", x.inputs);
  in.count("timeout_ms", x.timeout_ms);
}

static packed_map fields_of(const cancel& x) { return {"ref", fields_of(x.ref)}; }
static void read_fields(field_reader& in, cancel& x) { in.nested("ref", x.ref); }

static packed_map fields_of(const acknowledge& x) { return {"ref", fields_of(x.ref)}; }
static void read_fields(field_reader& in, acknowledge& x) { in.nested("ref", x.ref); }

static packed_map fields_of(const chunk& x) {
  return {"sha256", x.sha256, "offset", x.offset, "total", x.total, "data", binary(x.data), "error", x.error};
}
static void read_fields(field_reader& in, chunk& x) {
  in.hash("sha256", x.sha256);
  in.count("offset", x.offset, 0, limits.artifact_bytes);
  in.count("total", x.total, 0, limits.artifact_bytes);
  in.bytes("data", x.data, chunk_bytes);
  in.text("error", x.error);
}

static packed_map fields_of(const put_ready& x) {
  return {"sha256", x.sha256, "offset", x.offset, "credit", x.credit, "done", x.done, "error", x.error};
}
static void read_fields(field_reader& in, put_ready& x) {
  in.hash("sha256", x.sha256);
  in.count("offset", x.offset, 0, limits.artifact_bytes);
  in.count("credit", x.credit, 0, limits.credit);
  in.flag("done", x.done);
  in.text("error", x.error);
}

// -- frames -----------------------------------------------------------------------------------------------------------

namespace {

// What a message is called in its frame; the same order as the variants.
constexpr std::array node_types{"hello",  "heartbeat", "progress", "preview",   "finished",
                                "failed", "fetch",     "put",      "put_chunk", "goodbye"};
constexpr std::array head_types{"welcome", "refused",     "heartbeat", "assign",
                                "cancel",  "acknowledge", "chunk",     "put_ready"};
static_assert(node_types.size() == std::variant_size_v<from_node>);
static_assert(head_types.size() == std::variant_size_v<to_node>);

template <class Variant, class Types>
std::string encode_as(const Variant& message, const Types& types) {
  auto frame = std::visit([](const auto& x) { return fields_of(x); }, message);
  return frame.add("t", types[message.index()]).bytes();
}

template <class Variant, std::size_t Index>
bool read_as(field_reader& in, Variant& out) {
  read_fields(in, out.template emplace<Index>());
  return !in.wrong();
}

template <class Variant, std::size_t... Index>
bool read_index(field_reader& in, std::size_t index, Variant& out, std::index_sequence<Index...>) {
  bool good = false;
  (void)((Index == index && (good = read_as<Variant, Index>(in, out), true)) || ...);
  return good;
}

template <class Variant, class Types>
result<Variant> decode_as(std::string_view frame, const Types& types, std::vector<std::string>* unknown) {
  auto map = from_msgpack(frame, {16, frame_bytes_max});
  if (!map || !map->is_object())
    return fail("malformed_frame", "a frame is no MessagePack map within the limits");
  field_reader in(*map, unknown);
  std::string type;
  in.name("t", type);
  if (in.wrong())
    return fail("malformed_frame", "a frame names no type (field \"t\")");
  auto found = std::find_if(types.begin(), types.end(), [&](const char* known) { return type == known; });
  if (found == types.end())
    return fail("unknown_message", "a frame of the unknown type \"" + type + "\"");
  Variant out;
  auto index = static_cast<std::size_t>(found - types.begin());
  if (!read_index(in, index, out, std::make_index_sequence<std::variant_size_v<Variant>>{}))
    return fail("malformed_frame", "the field \"" + std::string(in.wrong()) + "\" of a frame of type \"" + type +
                                       "\" is missing, of a wrong type or out of range");
  in.note_unknown();
  return out;
}

} // namespace

std::string encode(const from_node& message) { return encode_as(message, node_types); }
std::string encode(const to_node& message) { return encode_as(message, head_types); }
result<from_node> decode_from_node(std::string_view frame, std::vector<std::string>* unknown) {
  return decode_as<from_node>(frame, node_types, unknown);
}
result<to_node> decode_to_node(std::string_view frame, std::vector<std::string>* unknown) {
  return decode_as<to_node>(frame, head_types, unknown);
}

std::string to_string(version_range versions) {
  auto newest = std::to_string(versions.newest);
  if (versions.oldest == versions.newest)
    return "version " + newest;
  return "versions " + std::to_string(versions.oldest) + " to " + newest;
}

} // namespace troupe::wire
