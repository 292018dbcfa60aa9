#pragma once

#include "common/result.hpp"

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::http {

/// The installation's secret: tokens and API keys are stored only as keyed hashes under it, so a stolen database opens
/// nothing.
class secrets {
public:
  /// Reads DIR/secret.key, making it (mode 0600, synced) where there is none. Errors: `io`, `malformed`, `missing`
  /// (there is none, but what is `in_use` was made with one). The messages are for the operator.
  static result<secrets> load_or_make(const std::filesystem::path& data_directory, bool in_use);

  /// BLAKE2b-256 of the text, keyed, as 64 hex digits.
  std::string hash(std::string_view text) const;

  /// Encrypts and authenticates (XSalsa20-Poly1305) under a key made of the secret and `context`; base64 without
  /// padding. What opens it must come with the same context.
  std::string seal(std::string_view text, std::string_view context) const;
  /// Nothing when it was not sealed so, or was changed.
  std::optional<std::string> open(std::string_view sealed, std::string_view context) const;

private:
  std::array<unsigned char, 32> key_{};
};

} // namespace troupe::http
