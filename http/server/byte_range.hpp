#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::http {

/// What of a file to send and how to say so (RFC 9110, sections 13 and 14).
struct file_plan {
  int status = 200; ///< 200, 206, 304 or 416
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// `etag` is without quotes, "" for none; the other three are header values, "" for none. Only a single range of bytes
/// is served: several, another unit and what is malformed are ignored, as the RFC allows.
file_plan plan_file(std::uint64_t size, std::string_view etag, std::string_view range, std::string_view if_range,
                    std::string_view if_none_match);

} // namespace troupe::http
