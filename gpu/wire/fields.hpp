#pragma once

// Reading a hostile MessagePack map field by field, and writing text that the other side will accept.

#include "gpu/wire/messages.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::wire {

/// What a frame may hold; beyond it the frame is refused. docs/node-protocol.md lists the same figures.
struct frame_limits {
  std::size_t id_bytes = 128;            // job, node, device, kind, port, fault, error, …
  std::size_t text_bytes = 4096;         // message, reason, needs
  std::size_t list_items = 10'000;       // of any list
  std::size_t metadata_bytes = 64 << 10; // of one artifact, as MessagePack, roughly
  std::size_t params_bytes = 1 << 20;
  std::size_t jpeg_bytes = 256 << 10;
  std::uint64_t artifact_bytes = 1ull << 40;
  std::uint32_t credit = 64;
};
inline constexpr frame_limits limits;

/// True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool is_utf8(std::string_view text);
/// `text` as well-formed UTF-8 of at most `bytes_max` bytes: bad bytes become "?", what is too long is cut.
std::string clean_text(std::string_view text, std::size_t bytes_max);

/// A parameter or metadata map as the other side will accept it: text cleaned, numbers that are none made null, `{}`
/// when it is no map, or larger than `bytes_max`.
json clean_object(const json& value, std::size_t bytes_max);

/// Takes a map apart. The first field that is missing, of a wrong type or out of range is remembered, reads after it do
/// nothing, so a decoder reads all fields and asks once.
class field_reader {
public:
  /// With `unknown`, note_unknown() adds the names of fields that nobody asked for, also of nested maps.
  explicit field_reader(const json& map, std::vector<std::string>* unknown = nullptr);

  void text(const char* field, std::string& out, std::size_t bytes_max = limits.id_bytes);
  /// As text(), and not empty.
  void name(const char* field, std::string& out);
  void hash(const char* field, std::string& out);
  void bytes(const char* field, std::string& out, std::size_t bytes_max);
  void flag(const char* field, bool& out);
  void fraction(const char* field, double& out);
  void time(const char* field, std::int64_t& out);
  void object(const char* field, json& out, std::size_t bytes_max);
  template <class Unsigned>
  void count(const char* field, Unsigned& out, std::uint64_t min = 0,
             std::uint64_t max = std::numeric_limits<Unsigned>::max()) {
    out = static_cast<Unsigned>(number(field, min, max));
  }
  /// One that older versions do not have: `out` stays as it is where it is missing.
  template <class Unsigned>
  void count_if_there(const char* field, Unsigned& out, std::uint64_t min, std::uint64_t max) {
    if (!wrong_ && map_->contains(field))
      count(field, out, min, max);
  }
  /// A nested map.
  template <class Value>
  void nested(const char* field, Value& out) {
    if (const json* found = need(field))
      item(field, *found, out);
  }
  /// A list of maps.
  template <class Value>
  void list(const char* field, std::vector<Value>& out) {
    const json* found = array(field);
    if (!found)
      return;
    out.reserve(found->size());
    for (const auto& entry : *found)
      if (!wrong_)
        item(field, entry, out.emplace_back());
  }
  void names(const char* field, std::vector<std::string>& out);

  /// When all that is known was read.
  void note_unknown() const;
  void refuse(const char* field) { wrong_ = wrong_ ? wrong_ : field; }
  /// The field that was wrong, or null.
  const char* wrong() const { return wrong_; }

private:
  const json* need(const char* field);
  const json* array(const char* field);
  std::uint64_t number(const char* field, std::uint64_t min, std::uint64_t max);
  template <class Value>
  void item(const char* field, const json& from, Value& out) {
    field_reader inner(from, unknown_);
    read_fields(inner, out);
    inner.note_unknown();
    if (inner.wrong())
      refuse(inner.wrong() == no_map ? field : inner.wrong());
  }

  static constexpr const char* no_map = "(the map itself)";
  static constexpr std::size_t fields_max = 16; // of one map; no message has so many
  const json* map_ = nullptr;
  const char* wrong_ = nullptr;
  std::vector<std::string>* unknown_ = nullptr;
  std::array<const char*, fields_max> asked_{};
  std::size_t asked_count_ = 0;
};

} // namespace troupe::wire
