#pragma once

#include "common/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::http {

/// One part of a form. The views are into the body.
struct form_part {
  std::string name;      ///< of the field
  std::string file_name; ///< as the client calls it; never a path of ours
  std::string_view content;
};

/// True for "multipart/form-data; …".
bool is_multipart(std::string_view content_type);

/// Takes a body of multipart/form-data apart (RFC 7578; the boundary as in RFC 2046). Errors: `malformed`, also for
/// more than `parts_max` parts, with words for the client.
result<std::vector<form_part>> read_multipart(std::string_view content_type, std::string_view body,
                                              std::size_t parts_max = 16);

} // namespace troupe::http
