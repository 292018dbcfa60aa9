#pragma once

#include "common/result.hpp"

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

namespace troupe::http {

/// The installation's secret: tokens and API keys are stored only as keyed hashes under it, so a stolen database opens
/// nothing.
class secrets {
public:
  /// Reads DIR/secret.key, making it (mode 0600, synced) where there is none. Errors: `io`, `malformed`.
  static result<secrets> load_or_make(const std::filesystem::path& data_directory);

  /// BLAKE2b-256 of the text, keyed, as 64 hex digits.
  std::string hash(std::string_view text) const;

private:
  std::array<unsigned char, 32> key_{};
};

} // namespace troupe::http
