#pragma once

#include "common/result.hpp"

#include <filesystem>
#include <string_view>

namespace troupe {

enum class if_there { replace, keep };

/// Writes a file that only its owner may read (mode 0600). Whoever looks sees all of it or none, also after a crash: it
/// is written beside its name, synced, named, and its folder is synced. With `keep`, a file of that name stays as it
/// is, and that is no error. Errors: `io`, with the path and what the system said.
result<void> write_private_file(const std::filesystem::path& path, std::string_view text,
                                if_there old = if_there::replace);

} // namespace troupe
