#pragma once

#include "common/result.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace troupe {

/// SHA-256 in pieces; the names of all artifacts are made by it.
class sha256 {
public:
  sha256();
  ~sha256();
  sha256(sha256&&) noexcept;
  sha256& operator=(sha256&&) noexcept;

  void update(std::string_view bytes);
  /// 64 lower-case hex digits. Call once.
  std::string finish();

private:
  struct state;
  std::unique_ptr<state> state_;
};

std::string sha256_hex(std::string_view bytes);
/// Errors: `io` (cannot be read).
result<std::string> sha256_of_file(const std::filesystem::path& path);

/// True for 64 lower-case hex digits, and for nothing else.
bool is_sha256(std::string_view text);

} // namespace troupe
