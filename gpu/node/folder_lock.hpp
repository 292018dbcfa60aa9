#pragma once

#include "common/result.hpp"

#include <filesystem>

namespace troupe::node {

/// Keeps a second node out of a folder for as long as it lives (flock(2) on folder/lock; the kernel lets go of it when
/// the process dies).
class folder_lock {
public:
  /// Errors: `locked` (the message names the other process), `io`.
  static result<folder_lock> take(const std::filesystem::path& folder);
  folder_lock(folder_lock&& other) noexcept;
  folder_lock& operator=(folder_lock&&) = delete;
  ~folder_lock();

private:
  explicit folder_lock(int fd) : fd_(fd) {}
  int fd_;
};

} // namespace troupe::node
