#include "common/random.hpp"

#include "common/clock.hpp"

#include <sodium.h>

#include <array>

namespace troupe {

namespace {

constexpr std::string_view alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

} // namespace

std::string make_ulid() {
  std::array<std::uint8_t, 10> noise{};
  randombytes_buf(noise.data(), noise.size());
  std::string out(26, '0');
  auto time = static_cast<std::uint64_t>(now_ms());
  for (int i = 9; i >= 0; --i, time >>= 5)
    out[static_cast<std::size_t>(i)] = alphabet[time & 31];
  std::uint64_t bits = 0;
  int have = 0;
  std::size_t at = 10;
  for (auto byte : noise) {
    bits = bits << 8 | byte;
    for (have += 8; have >= 5; have -= 5)
      out[at++] = alphabet[(bits >> (have - 5)) & 31];
  }
  return out;
}

bool is_ulid(std::string_view text) {
  return text.size() == 26 && text.find_first_not_of(alphabet) == std::string_view::npos;
}

std::string random_hex(std::size_t bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string raw(bytes, '\0');
  randombytes_buf(raw.data(), raw.size());
  std::string out;
  out.reserve(bytes * 2);
  for (char c : raw) {
    out += digits[static_cast<std::uint8_t>(c) >> 4];
    out += digits[static_cast<std::uint8_t>(c) & 15];
  }
  return out;
}

std::string make_uuid() {
  auto hex = random_hex(16);
  hex[12] = '4';
  hex[16] = "89ab"[randombytes_uniform(4)];
  return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' + hex.substr(16, 4) + '-' +
         hex.substr(20);
}

std::int64_t random_seed() { return static_cast<std::int64_t>(randombytes_random() >> 1); }

} // namespace troupe
