#pragma once

#include "common/clock.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::payments {

/// The header of a signed webhook: `t=1492774577,v1=5257a8…,v1=…` (docs.stripe.com/webhooks, "verify manually").
struct stripe_signature {
  std::int64_t at_s = 0;       // seconds since 1970
  std::vector<std::string> v1; // 64 lower-case hex digits each, at most `signatures_max`
};

inline constexpr std::size_t signatures_max = 8;
inline constexpr std::int64_t signature_tolerance_s = 300;

/// False when it is not such a header.
bool read_signature(std::string_view header, stripe_signature& out);

enum class signature_verdict { good, malformed, wrong, too_old };
const char* to_string(signature_verdict which);

/// Whether `body` was signed with one of `secrets` at most `signature_tolerance_s` from `now`. Compares in constant
/// time.
signature_verdict check_signature(std::string_view header, std::string_view body,
                                  const std::vector<std::string>& secrets, timestamp now);

/// HMAC-SHA256 as 64 lower-case hex digits.
std::string hmac_sha256_hex(std::string_view key, std::string_view text);

} // namespace troupe::payments
