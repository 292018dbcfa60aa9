#pragma once

// The few calls to the file system that must be exact: what is on disk when they return.

#include "common/result.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace troupe::storage {

/// An open file, closed when it goes.
class file {
public:
  file() = default;
  explicit file(int descriptor) : descriptor_(descriptor) {}
  file(file&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  file& operator=(file&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~file() { close(); }

  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close();

private:
  int descriptor_ = -1;
};

/// What a failed system call means: `full` for no space and no quota, otherwise `io`. `what` says what was tried.
failure io_failure(int error, const std::string& what);

/// Opens with O_CLOEXEC: no child inherits it. Not open when it failed; errno says why.
file open_file(const std::filesystem::path& path, int flags, unsigned mode = 0640);

/// All of it, or an error. Errors: `full`, `io`.
result<void> write_all(const file& to, std::string_view bytes);

/// Makes the names in a folder durable. Errors: `io`.
result<void> sync_folder(const std::filesystem::path& folder);

} // namespace troupe::storage
