#include "common/packed.hpp"

#include <bit>

namespace troupe {

namespace {

/// A first byte and a number after it, most significant byte first.
template <class Number>
void mark(std::string& out, unsigned first, Number value) {
  char bytes[1 + sizeof(Number)];
  bytes[0] = static_cast<char>(first);
  for (std::size_t i = 0; i < sizeof(Number); ++i)
    bytes[sizeof(Number) - i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, sizeof(bytes));
}

/// The head of a map or list of `count`, whose short form is `small` and whose longer ones begin at `large`.
void head(std::string& out, unsigned small, unsigned large, std::uint32_t count) {
  if (count < 16)
    out += static_cast<char>(small | count);
  else if (count <= 0xffff)
    mark(out, large, static_cast<std::uint16_t>(count));
  else
    mark(out, large + 1, count);
}

} // namespace

namespace packing {

void put(std::string& out, bool value) { out += static_cast<char>(value ? 0xc3 : 0xc2); }

void put(std::string& out, std::uint64_t value) {
  if (value < 0x80)
    out += static_cast<char>(value);
  else if (value <= 0xff)
    mark(out, 0xcc, static_cast<std::uint8_t>(value));
  else if (value <= 0xffff)
    mark(out, 0xcd, static_cast<std::uint16_t>(value));
  else if (value <= 0xffffffff)
    mark(out, 0xce, static_cast<std::uint32_t>(value));
  else
    mark(out, 0xcf, value);
}

void put(std::string& out, std::int64_t value) {
  if (value >= 0)
    put(out, static_cast<std::uint64_t>(value));
  else if (value >= -32)
    out += static_cast<char>(value);
  else
    mark(out, 0xd3, static_cast<std::uint64_t>(value));
}

void put(std::string& out, double value) { mark(out, 0xcb, std::bit_cast<std::uint64_t>(value)); }

void put(std::string& out, std::string_view text) {
  if (text.size() < 32)
    out += static_cast<char>(0xa0 | text.size());
  else if (text.size() <= 0xff)
    mark(out, 0xd9, static_cast<std::uint8_t>(text.size()));
  else if (text.size() <= 0xffff)
    mark(out, 0xda, static_cast<std::uint16_t>(text.size()));
  else
    mark(out, 0xdb, static_cast<std::uint32_t>(text.size()));
  out += text;
}

void put(std::string& out, packed_bytes value) {
  if (value.bytes.size() <= 0xff)
    mark(out, 0xc4, static_cast<std::uint8_t>(value.bytes.size()));
  else if (value.bytes.size() <= 0xffff)
    mark(out, 0xc5, static_cast<std::uint16_t>(value.bytes.size()));
  else
    mark(out, 0xc6, static_cast<std::uint32_t>(value.bytes.size()));
  out += value.bytes;
}

void put(std::string& out, const json& value) {
  json::to_msgpack(value, nlohmann::detail::output_adapter<char, std::string>(out));
}

void put(std::string& out, const packed_map& value) {
  head(out, 0x80, 0xde, value.count_);
  out += value.fields_;
}

void put(std::string& out, const packed_list& value) {
  head(out, 0x90, 0xdc, value.count_);
  out += value.items_;
}

} // namespace packing

std::string packed_map::bytes() const {
  std::string out;
  packing::put(out, *this);
  return out;
}

std::string packed_map::record(std::uint8_t version) const {
  std::string out(1, static_cast<char>(version));
  out.reserve(fields_.size() + 6);
  packing::put(out, *this);
  return out;
}

json packed_map::tree() const { return json::from_msgpack(bytes()); }

} // namespace troupe
