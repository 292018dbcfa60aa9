#include "storage/keys.hpp"

#include "storage/database.hpp"

namespace troupe::storage {

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= name_bytes_max && name.find('\0') == std::string_view::npos;
}

std::string table_key(table in, std::string_view key) {
  std::string out;
  out.reserve(1 + key.size());
  out += static_cast<char>(in);
  out += key;
  return out;
}

void append_number(std::string& out, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out += static_cast<char>(number >> shift & 0xff);
}

std::uint64_t read_number(std::string_view eight_bytes) {
  std::uint64_t out = 0;
  for (char c : eight_bytes.substr(0, 8))
    out = out << 8 | static_cast<std::uint8_t>(c);
  return out;
}

std::string after_prefix(std::string_view prefix) {
  std::string out{prefix};
  while (!out.empty() && static_cast<std::uint8_t>(out.back()) == 0xff)
    out.pop_back();
  if (!out.empty())
    out.back() = static_cast<char>(static_cast<std::uint8_t>(out.back()) + 1);
  return out;
}

std::string key_of(std::string_view first, std::string_view second) {
  std::string out;
  out.reserve(first.size() + 1 + second.size());
  out += first;
  out += '\0';
  out += second;
  return out;
}

std::string key_of(std::string_view first, std::uint64_t number) {
  std::string out;
  out.reserve(first.size() + 9);
  out += first;
  out += '\0';
  append_number(out, number);
  return out;
}

std::uint64_t number_at_end(std::string_view key) {
  return key.size() < 8 ? 0 : read_number(key.substr(key.size() - 8));
}

} // namespace troupe::storage
