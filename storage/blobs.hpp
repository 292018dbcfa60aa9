#pragma once

// Artifacts: files named by the SHA-256 of their content. Written under a temporary name, synced, renamed, the folder
// synced; so a name means the whole content. Blocking: not for actors and asio threads, but for opening to read.

#include "common/result.hpp"
#include "common/sha256.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::storage {

/// A file being written; dropped without commit(), it leaves nothing.
class blob_writer {
public:
  virtual ~blob_writer() = default;
  virtual std::uint64_t size() const = 0;
  /// Errors: `full` (no space), `io`. After an error it can only be dropped.
  virtual result<void> write(std::string_view bytes) = 0;
  /// Syncs and gives it its name. With `expected` not empty, content of another hash is refused with `mismatch`.
  /// Returns the hash. Once it returns, content and name are on disk; it can be called once. A blob of the same name is
  /// replaced, which mends a damaged one. Errors: `mismatch`, `full`, `io`.
  virtual result<std::string> commit(const std::string& expected = {}) = 0;
};

class blob_store {
public:
  /// Makes the folder and clears away what an earlier process left half written, so one process at a time: it relies on
  /// the data directory's lock. Errors: `full`, `io`.
  static result<std::unique_ptr<blob_store>> open(const std::filesystem::path& folder);
  virtual ~blob_store() = default;

  /// The writer must not outlive the store. Errors: `full`, `io`.
  virtual result<std::unique_ptr<blob_writer>> create() = 0;
  virtual bool has(const std::string& sha256) const = 0;
  virtual std::optional<std::uint64_t> size(const std::string& sha256) const = 0;
  /// Where the file lies, whether or not it is there; empty when it is not a hash.
  virtual std::filesystem::path path(const std::string& sha256) const = 0;
  /// Bytes [offset, offset + length) or fewer at the end. Errors: `missing`, `io`.
  virtual result<std::string> read(const std::string& sha256, std::uint64_t offset, std::size_t length) const = 0;
  /// Reads all of it and compares. Errors: `missing`, `corrupt` (the file is then set aside under quarantine/), `io`.
  virtual result<void> verify(const std::string& sha256) = 0;
  /// Removing one that is not there is no error. Errors: `io`.
  virtual result<void> remove(const std::string& sha256) = 0;
};

} // namespace troupe::storage
