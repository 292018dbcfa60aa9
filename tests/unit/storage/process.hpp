#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace troupe::storage::testing {

/// A run of storage_crash_writer, killed when it goes. What it prints is read line by line.
class process {
public:
  process(const std::filesystem::path& program, std::vector<std::string> arguments);
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  int id() const { return id_; }
  /// The next line, waiting at most `limit_ms`; none when there is none in time, or never again.
  std::optional<std::string> line(int limit_ms);
  /// SIGKILL, and wait until it is gone. What it had printed can still be read.
  void kill();

private:
  int id_ = -1;
  int output_ = -1;
  std::string buffer_;
};

} // namespace troupe::storage::testing
