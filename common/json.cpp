#include "common/json.hpp"

#include <array>
#include <vector>

namespace troupe {

namespace {

// nlohmann's text parser is iterative but what prints, copies and destroys a value recurses, so depth is bounded first.
std::size_t text_depth(std::string_view text) {
  std::size_t depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < width; ++i)
    out = out << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return out;
}

struct msgpack_head {
  std::size_t header = 1;   // bytes of type and length
  std::uint64_t body = 0;   // bytes that follow
  std::uint64_t values = 0; // values that follow inside it
  bool known = true;
};

// The type byte and its length, by the MessagePack specification (github.com/msgpack/msgpack/blob/master/spec.md).
msgpack_head read_head(std::string_view in, std::size_t at) {
  auto type = static_cast<std::uint8_t>(in[at]);
  auto length = [&](std::size_t width) -> std::uint64_t {
    return at + 1 + width <= in.size() ? big_endian(in, at + 1, width) : UINT64_MAX / 4;
  };
  if (type <= 0x7f || type >= 0xe0 || type == 0xc0 || type == 0xc2 || type == 0xc3)
    return {};
  if (type <= 0x8f)
    return {1, 0, 2ull * (type & 0x0f)};
  if (type <= 0x9f)
    return {1, 0, static_cast<std::uint64_t>(type & 0x0f)};
  if (type <= 0xbf)
    return {1, static_cast<std::uint64_t>(type & 0x1f), 0};
  switch (type) {
    case 0xc4:
    case 0xd9: return {2, length(1), 0};
    case 0xc5:
    case 0xda: return {3, length(2), 0};
    case 0xc6:
    case 0xdb: return {5, length(4), 0};
    case 0xca:
    case 0xce:
    case 0xd2: return {1, 4, 0};
    case 0xcb:
    case 0xcf:
    case 0xd3: return {1, 8, 0};
    case 0xcc:
    case 0xd0: return {1, 1, 0};
    case 0xcd:
    case 0xd1: return {1, 2, 0};
    case 0xdc: return {3, 0, length(2)};
    case 0xdd: return {5, 0, length(4)};
    case 0xde: return {3, 0, 2 * length(2)};
    case 0xdf: return {5, 0, 2 * length(4)};
    default: return {1, 0, 0, false}; // extension types: nothing of ours writes them
  }
}

// Walks the bytes without recursion, so that a hostile nesting ends here and not in the stack.
bool well_formed(std::string_view in, std::size_t depth_max) {
  std::vector<std::uint64_t> open{1};
  std::size_t at = 0;
  while (!open.empty()) {
    if (open.back() == 0) {
      open.pop_back();
      continue;
    }
    --open.back();
    if (at >= in.size())
      return false;
    auto head = read_head(in, at);
    auto left = in.size() - at;
    if (!head.known || head.header > left || head.body > left - head.header || head.values > left)
      return false;
    at += head.header + static_cast<std::size_t>(head.body);
    if (head.values > 0) {
      open.push_back(head.values);
      if (open.size() > depth_max + 1)
        return false;
    }
  }
  return at == in.size();
}

} // namespace

result<json> parse_json(std::string_view text, json_limits bounds) {
  if (text.size() > bounds.bytes_max)
    return fail("too_large", "the JSON is longer than " + std::to_string(bounds.bytes_max) + " bytes");
  if (text_depth(text) > bounds.depth_max)
    return fail("too_deep", "the JSON nests deeper than " + std::to_string(bounds.depth_max) + " levels");
  try {
    return json::parse(text);
  } catch (const json::parse_error& e) {
    std::string what = e.what();
    auto detail = what.find("syntax error");
    if (what.find("invalid string: ill-formed UTF-8") != std::string::npos)
      return fail("invalid_utf8", "invalid UTF-8 in a string at byte " + std::to_string(e.byte));
    auto reason = detail == std::string::npos ? what : what.substr(detail);
    if (auto colon = reason.find("; last read"); colon != std::string::npos)
      reason.resize(colon);
    return fail("malformed_json", "malformed JSON at byte " + std::to_string(e.byte) + ": " + reason);
  } catch (const json::exception& e) {
    return fail("malformed_json", std::string{"malformed JSON: a number is out of range"});
  }
}

std::string to_msgpack(const json& value) {
  std::string out;
  json::to_msgpack(value, nlohmann::detail::output_adapter<char, std::string>(out));
  return out;
}

result<json> from_msgpack(std::string_view bytes, json_limits bounds) {
  if (bytes.size() > bounds.bytes_max || !well_formed(bytes, bounds.depth_max))
    return fail("malformed_msgpack", "not a MessagePack value within the limits");
  auto value = json::from_msgpack(bytes, true, false);
  if (value.is_discarded())
    return fail("malformed_msgpack", "not a MessagePack value");
  return value;
}

std::string pack(const json& value, std::uint8_t version) {
  std::string out(1, static_cast<char>(version));
  json::to_msgpack(value, nlohmann::detail::output_adapter<char, std::string>(out));
  return out;
}

result<json> unpack(std::string_view bytes, std::uint8_t known) {
  if (bytes.empty())
    return fail("corrupt", "an empty record");
  if (static_cast<std::uint8_t>(bytes.front()) > known)
    return fail("newer", "the record was written by a newer version");
  auto value = from_msgpack(bytes.substr(1), {64, 64 << 20});
  if (!value)
    return fail("corrupt", "the record is not MessagePack");
  return value;
}

} // namespace troupe
