#pragma once

// JSON as the program sees it, and MessagePack as the disk and the wire see it: the same values, bounded on the way in.

#include "common/result.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe {

using json = nlohmann::json;

/// What a parser accepts at most; beyond it the input is refused.
struct json_limits {
  std::size_t depth_max = 32;
  std::size_t bytes_max = 1 << 20;
};

/// Parses text. Errors: `malformed_json` with the position ("at byte 17: …"), `too_deep`, `too_large`, `invalid_utf8`.
result<json> parse_json(std::string_view text, json_limits bounds = {});

/// A value with its format version: one byte, then MessagePack. How every record on disk is written.
std::string pack(const json& value, std::uint8_t version = 1);

/// Reads what pack() wrote. Errors: `corrupt` (not MessagePack, too deep, trailing bytes), `newer` (version above
/// `known`).
result<json> unpack(std::string_view bytes, std::uint8_t known = 1);

/// MessagePack without a version byte, for the wire. Errors: `malformed_msgpack`.
std::string to_msgpack(const json& value);
result<json> from_msgpack(std::string_view bytes, json_limits bounds = {32, 8 << 20});

} // namespace troupe
