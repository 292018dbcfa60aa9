#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

/// A ULID (github.com/ulid/spec) in lower case: 48 bits of milliseconds, 80 random bits, 26 characters of Crockford's
/// base 32. Sorts by time; safe in file names and URLs.
std::string make_ulid();

/// True for what make_ulid() could have made.
bool is_ulid(std::string_view text);

/// A random UUID (RFC 4122 version 4), as of x-request-id.
std::string make_uuid();

/// `bytes` random bytes from the operating system, as lower-case hex (2 characters a byte).
std::string random_hex(std::size_t bytes);

/// A uniformly random integer in 0 … 2^31-1; what "seed: -1" turns into.
std::int64_t random_seed();

} // namespace troupe
