#pragma once

#include "common/result.hpp"

#include <filesystem>
#include <string>

namespace troupe::media {

inline constexpr int portrait_side = 256; // pixels

/// The middle square of a picture, as a JPEG of portrait_side by portrait_side: nothing of the file but what is seen.
/// Errors: `media`, `machine`.
result<std::string> portrait_of(const std::filesystem::path& picture);

} // namespace troupe::media
