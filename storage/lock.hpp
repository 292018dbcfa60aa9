#pragma once

#include "storage/file.hpp"

namespace troupe::storage {

/// The right to use a data directory, held by one process at a time: an flock on its file `lock`, which the kernel
/// lifts when the process ends, however it ends. The file holds the process id, for the message to the next one.
class data_lock {
public:
  /// Errors: `locked` (names the process that has it), `io`.
  static result<data_lock> take(const std::filesystem::path& directory);

  data_lock(data_lock&&) = default;
  data_lock& operator=(data_lock&&) = default;
  ~data_lock();

private:
  explicit data_lock(file held) : held_(std::move(held)) {}
  file held_;
};

} // namespace troupe::storage
