#include "gpu/wire/fields.hpp"

#include "common/check.hpp"
#include "common/sha256.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::wire {

namespace {

// The length of the well-formed UTF-8 sequence at `at`, or 0 (table 3-7 of the Unicode standard).
std::size_t sequence_length(std::string_view text, std::size_t at) {
  auto byte = [&](std::size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  auto tail = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  unsigned first = byte(at), second = byte(at + 1);
  if (first < 0x80)
    return 1;
  if (first >= 0xc2 && first <= 0xdf)
    return tail(at + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    bool fits = tail(at + 1) && !(first == 0xe0 && second < 0xa0) && !(first == 0xed && second > 0x9f);
    return fits && tail(at + 2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    bool fits = tail(at + 1) && !(first == 0xf0 && second < 0x90) && !(first == 0xf4 && second > 0x8f);
    return fits && tail(at + 2) && tail(at + 3) ? 4 : 0;
  }
  return 0;
}

// Adds up what a value takes, and finds text that a JSON printer would choke on. from_msgpack() bounded the depth.
bool weigh(const json& value, std::size_t& left) {
  auto take = [&](std::size_t n) { return n <= left ? (left -= n, true) : false; };
  if (!take(9))
    return false;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return take(text.size()) && is_utf8(text);
  }
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items())
      if (!take(key.size()) || !is_utf8(key) || !weigh(inner, left))
        return false;
  } else if (value.is_array()) {
    for (const auto& inner : value)
      if (!weigh(inner, left))
        return false;
  } else if (value.is_number_float()) {
    return std::isfinite(value.get<double>());
  }
  return !value.is_binary();
}

json cleaned(const json& value) {
  if (value.is_string())
    return clean_text(value.get_ref<const std::string&>(), limits.params_bytes);
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    return nullptr;
  if (value.is_binary() || !value.is_structured())
    return value.is_binary() ? json(nullptr) : value;
  json out = value.is_object() ? json::object() : json::array();
  if (value.is_object())
    for (const auto& [key, inner] : value.items())
      out[clean_text(key, limits.id_bytes)] = cleaned(inner);
  else
    for (const auto& inner : value)
      out.push_back(cleaned(inner));
  return out;
}

} // namespace

json clean_object(const json& value, std::size_t bytes_max) {
  std::size_t left = bytes_max;
  if (value.is_object() && weigh(value, left))
    return value;
  auto out = cleaned(value);
  left = bytes_max;
  return out.is_object() && weigh(out, left) ? out : json::object();
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    auto length = sequence_length(text, at);
    if (length == 0)
      return false;
    at += length;
  }
  return true;
}

std::string clean_text(std::string_view text, std::size_t bytes_max) {
  std::string out;
  out.reserve(std::min(text.size(), bytes_max));
  for (std::size_t at = 0; at < text.size();) {
    auto length = sequence_length(text, at);
    if (out.size() + std::max<std::size_t>(length, 1) > bytes_max)
      break;
    if (length == 0)
      out += '?';
    else
      out.append(text, at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

field_reader::field_reader(const json& map, std::vector<std::string>* unknown) : map_(&map), unknown_(unknown) {
  if (!map.is_object())
    wrong_ = no_map;
}

void field_reader::note_unknown() const {
  constexpr std::size_t named_max = 8; // of one frame
  if (!unknown_ || wrong_ || map_->size() == asked_count_)
    return;
  const auto* end = asked_.begin() + asked_count_;
  for (const auto& [field, value] : map_->items())
    if (unknown_->size() < named_max && std::find(asked_.begin(), end, field) == end)
      unknown_->push_back(clean_text(field, limits.id_bytes));
}

const json* field_reader::need(const char* field) {
  if (wrong_)
    return nullptr;
  auto found = map_->find(field);
  if (found == map_->end()) {
    wrong_ = field;
    return nullptr;
  }
  TROUPE_CHECK(asked_count_ < fields_max);
  asked_[asked_count_++] = field;
  return &*found;
}

const json* field_reader::array(const char* field) {
  const json* found = need(field);
  if (!found)
    return nullptr;
  if (!found->is_array() || found->size() > limits.list_items) {
    wrong_ = field;
    return nullptr;
  }
  return found;
}

void field_reader::text(const char* field, std::string& out, std::size_t bytes_max) {
  const json* found = need(field);
  if (!found)
    return;
  const auto* value = found->get_ptr<const std::string*>();
  if (!value || value->size() > bytes_max || !is_utf8(*value))
    wrong_ = field;
  else
    out = *value;
}

void field_reader::name(const char* field, std::string& out) {
  text(field, out);
  if (!wrong_ && out.empty())
    wrong_ = field;
}

void field_reader::hash(const char* field, std::string& out) {
  text(field, out);
  if (!wrong_ && !is_sha256(out))
    wrong_ = field;
}

void field_reader::bytes(const char* field, std::string& out, std::size_t bytes_max) {
  const json* found = need(field);
  if (!found)
    return;
  if (!found->is_binary() || found->get_binary().size() > bytes_max) {
    wrong_ = field;
    return;
  }
  const auto& value = found->get_binary();
  out.assign(value.begin(), value.end());
}

void field_reader::flag(const char* field, bool& out) {
  const json* found = need(field);
  if (!found)
    return;
  if (found->is_boolean())
    out = found->get<bool>();
  else
    wrong_ = field;
}

void field_reader::fraction(const char* field, double& out) {
  const json* found = need(field);
  if (!found)
    return;
  double value = found->is_number() ? found->get<double>() : -1;
  if (std::isfinite(value) && value >= 0 && value <= 1)
    out = value;
  else
    wrong_ = field;
}

void field_reader::time(const char* field, std::int64_t& out) {
  out = static_cast<std::int64_t>(number(field, 0, 1ull << 53));
}

std::uint64_t field_reader::number(const char* field, std::uint64_t min, std::uint64_t max) {
  const json* found = need(field);
  if (!found)
    return 0;
  bool whole = found->is_number_unsigned() || (found->is_number_integer() && found->get<std::int64_t>() >= 0);
  auto value = whole ? found->get<std::uint64_t>() : 0;
  if (!whole || value < min || value > max) {
    wrong_ = field;
    return 0;
  }
  return value;
}

void field_reader::object(const char* field, json& out, std::size_t bytes_max) {
  const json* found = need(field);
  if (!found)
    return;
  if (!found->is_object() || !weigh(*found, bytes_max))
    wrong_ = field;
  else
    out = *found;
}

void field_reader::names(const char* field, std::vector<std::string>& out) {
  const json* found = array(field);
  if (!found)
    return;
  for (const auto& entry : *found) {
    const auto* value = entry.get_ptr<const std::string*>();
    if (!value || value->empty() || value->size() > limits.id_bytes || !is_utf8(*value)) {
      wrong_ = field;
      return;
    }
    out.push_back(*value);
  }
}

} // namespace troupe::wire
