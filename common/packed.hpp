#pragma once

// MessagePack written field by field, without a tree of values in between: what is written for every step of every job.
// It reads back with unpack() and from_msgpack() like all else. Format:
// https://github.com/msgpack/msgpack/blob/master/spec.md

#include "common/json.hpp"

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

class packed_map;
class packed_list;

/// Bytes that are no text (MessagePack's bin).
struct packed_bytes {
  std::string_view bytes;
};

namespace packing {

void put(std::string& out, bool value);
void put(std::string& out, std::uint64_t value);
void put(std::string& out, std::int64_t value);
void put(std::string& out, double value);
void put(std::string& out, std::string_view text);
void put(std::string& out, packed_bytes value);
void put(std::string& out, const json& value);
void put(std::string& out, const packed_map& value);
void put(std::string& out, const packed_list& value);
inline void put(std::string& out, const char* text) { put(out, std::string_view{text}); }
inline void put(std::string& out, const std::string& text) { put(out, std::string_view{text}); }
template <std::unsigned_integral T>
requires(!std::same_as<T, bool> && !std::same_as<T, std::uint64_t>) void put(std::string& out, T value) {
  put(out, std::uint64_t{value});
}
template <std::signed_integral T>
requires(!std::same_as<T, std::int64_t>) void put(std::string& out, T value) { put(out, std::int64_t{value}); }
template <class T>
void put(std::string& out, const std::vector<T>& values);

} // namespace packing

/// The values of a list, in order.
class packed_list {
public:
  template <class Value>
  void push(const Value& value) {
    packing::put(items_, value);
    ++count_;
  }

private:
  friend void packing::put(std::string& out, const packed_list& value);
  std::string items_;
  std::uint32_t count_ = 0;
};

/// The fields of a map, each given once: packed_map("stage", 3, "device", name).
class packed_map {
public:
  packed_map() = default;
  template <class Value, class... More>
  packed_map(std::string_view key, const Value& value, const More&... more) {
    fields_.reserve(usual_bytes);
    add(key, value, more...);
  }

  template <class Value, class... More>
  packed_map& add(std::string_view key, const Value& value, const More&... more) {
    packing::put(fields_, key);
    packing::put(fields_, value);
    ++count_;
    if constexpr (sizeof...(more) > 0)
      add(more...);
    return *this;
  }

  /// As to_msgpack() would write it, but for the order of the fields.
  std::string bytes() const;
  /// As pack() would: with a version byte before it.
  std::string record(std::uint8_t version = 1) const;
  /// The same as a tree, for those who look into it: one form, written once.
  json tree() const;

private:
  friend void packing::put(std::string& out, const packed_map& value);
  static constexpr std::size_t usual_bytes = 240; // most entries of a job's log; growing to that takes four allocations
  std::string fields_;
  std::uint32_t count_ = 0;
};

template <class T>
void packing::put(std::string& out, const std::vector<T>& values) {
  packed_list list;
  for (const auto& value : values)
    list.push(value);
  put(out, list);
}

} // namespace troupe
