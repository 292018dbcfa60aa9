#pragma once

#include "storage/file.hpp"

#include <bitset>
#include <mutex>

namespace troupe::storage {

/// Where blobs lie: ab/cd/abcd…, tmp/ for what is being written, quarantine/ for what was found damaged. Any thread.
class blob_folders {
public:
  explicit blob_folders(std::filesystem::path root) : root_(std::move(root)) {}

  /// Makes the folders and clears tmp/. Errors: `full`, `io`.
  result<void> prepare();
  /// A new path under tmp/.
  std::filesystem::path temporary() const;
  /// Empty when it is not a hash, so that no name from outside can lead out of the folder.
  std::filesystem::path place_of(const std::string& sha256) const;
  /// Gives a synced file its name, durably; a file that has the name already is replaced, which mends a damaged one.
  /// Errors: `full`, `io`.
  result<void> place(const std::filesystem::path& temporary, const std::string& sha256);
  /// Moves the blob to quarantine/, if it is still the file that was found damaged.
  void set_aside(const std::string& sha256, const file& damaged);

private:
  result<void> make_parents(const std::string& sha256);

  const std::filesystem::path root_;
  std::mutex mutex_;
  std::bitset<65'536> made_; // ab/cd that this process made, or found, and synced
};

} // namespace troupe::storage
