#include "http/payments/stripe_signature.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace troupe::payments {

namespace {

constexpr std::size_t header_bytes_max = 2048;
constexpr std::size_t digits = crypto_auth_hmacsha256_BYTES * 2;

bool is_hex(std::string_view text) {
  return text.size() == digits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool read_seconds(std::string_view text, std::int64_t& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  constexpr std::int64_t far = 253'402'300'799; // the end of the year 9999
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() && out >= 0 && out <= far;
}

} // namespace

const char* to_string(signature_verdict which) {
  switch (which) {
    case signature_verdict::good: return "good";
    case signature_verdict::malformed: return "malformed";
    case signature_verdict::wrong: return "wrong";
    case signature_verdict::too_old: return "too_old";
  }
  return "unknown";
}

bool read_signature(std::string_view header, stripe_signature& out) {
  if (header.size() > header_bytes_max)
    return false;
  bool timed = false;
  while (!header.empty()) {
    auto comma = std::min(header.find(','), header.size());
    auto part = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (!part.empty() && part.front() == ' ')
      part.remove_prefix(1);
    if (part.starts_with("t=")) {
      if (timed || !read_seconds(part.substr(2), out.at_s)) // two times would leave open which of them was signed
        return false;
      timed = true;
    } else if (part.starts_with("v1=")) { // other schemes (v0) are not signatures
      if (!is_hex(part.substr(3)) || out.v1.size() == signatures_max)
        return false;
      out.v1.emplace_back(part.substr(3));
    }
  }
  return timed && !out.v1.empty();
}

std::string hmac_sha256_hex(std::string_view key, std::string_view text) {
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  std::array<unsigned char, crypto_auth_hmacsha256_BYTES> raw{};
  crypto_auth_hmacsha256_final(&state, raw.data());
  std::string out(digits + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), raw.data(), raw.size());
  out.pop_back();
  return out;
}

signature_verdict check_signature(std::string_view header, std::string_view body,
                                  const std::vector<std::string>& secrets, timestamp now) {
  stripe_signature shown;
  if (!read_signature(header, shown))
    return signature_verdict::malformed;
  auto text = std::to_string(shown.at_s) + "." + std::string{body};
  bool good = false;
  for (const auto& secret : secrets) {
    if (secret.empty())
      continue;
    auto expected = hmac_sha256_hex(secret, text);
    for (const auto& one : shown.v1) // all of them: how long it takes tells nothing
      good |= sodium_memcmp(expected.data(), one.data(), digits) == 0;
  }
  if (!good)
    return signature_verdict::wrong;
  auto age = now / 1000 - shown.at_s;
  return age > signature_tolerance_s || age < -signature_tolerance_s ? signature_verdict::too_old
                                                                     : signature_verdict::good;
}

} // namespace troupe::payments
