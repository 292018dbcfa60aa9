#pragma once

// Artifacts that this node has fetched or made, by hash, up to a size; the longest unused goes first. What a stage is
// using is pinned and stays.

#include "common/result.hpp"

#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace troupe::node {

class artifact_cache {
public:
  /// Keeps a file where it is for as long as it lives; must not outlive the cache.
  class pin {
  public:
    pin(pin&& other) noexcept;
    pin& operator=(pin&& other) noexcept;
    ~pin();
    std::filesystem::path path() const { return cache_->file_of(sha256_); }

  private:
    friend artifact_cache;
    pin(artifact_cache& cache, std::string sha256) : cache_(&cache), sha256_(std::move(sha256)) {}
    artifact_cache* cache_;
    std::string sha256_;
  };

  /// Takes over what an earlier process left. Errors: `io`.
  static result<std::unique_ptr<artifact_cache>> open(const std::filesystem::path& folder, std::uint64_t bytes_max);

  /// A file that an earlier process left is hashed at its first use; a broken one is dropped.
  std::optional<pin> find(const std::string& sha256);
  /// Moves a file in whose hash is known to be right; a copy if it lies on another disk. Errors: `full`, `io`.
  result<pin> adopt(const std::filesystem::path& file, const std::string& sha256);
  /// Where a fetch collects its bytes until they are all there.
  std::filesystem::path partial(const std::string& sha256) const { return folder_ / "partial" / sha256; }
  /// Removes what fetches left that were broken off, but for the newest, which may be resumed.
  void prune_partials(std::size_t keep_max = 256) const;
  std::uint64_t bytes() const;

private:
  struct entry {
    std::uint64_t bytes = 0;
    unsigned pins = 0;
    bool verified = false;
    std::list<std::string>::iterator age;
  };

  artifact_cache(std::filesystem::path folder, std::uint64_t bytes_max)
    : folder_(std::move(folder)), bytes_max_(bytes_max) {}
  std::filesystem::path file_of(const std::string& sha256) const { return folder_ / sha256.substr(0, 2) / sha256; }
  void scan();
  entry& insert(const std::string& sha256, std::uint64_t bytes, bool verified);
  void erase(const std::string& sha256);
  void trim();
  void unpin(const std::string& sha256);

  std::filesystem::path folder_;
  std::uint64_t bytes_max_;
  mutable std::mutex mutex_;
  std::uint64_t bytes_ = 0;
  std::unordered_map<std::string, entry> entries_;
  std::list<std::string> by_age_; // oldest first
};

} // namespace troupe::node
