#pragma once

#include "workflows/definition.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// The workflows that can be started. Thread-safe; a reload replaces all of them or none, and what was handed out stays
/// valid.
class definition_store {
public:
  static constexpr std::size_t files_max = 1'000;
  static constexpr std::size_t file_bytes_max = 1 << 20;
  static constexpr std::size_t remembered_max = 1'000; // superseded definitions that are still found by hash

  /// Reads every *.json of a folder. On any problem nothing changes and all problems come back; empty: loaded.
  std::vector<problem> load(const std::filesystem::path& folder);

  /// The newest version of that name; null when there is none.
  definition_ptr find(std::string_view name) const;
  /// That very document, also one that a reload has replaced; null when it is not known.
  definition_ptr find_by_hash(std::string_view hash) const;
  /// The newest of each name, by name.
  std::vector<definition_ptr> all() const;

private:
  struct content {
    std::map<std::string, definition_ptr, std::less<>> newest;
    std::map<std::string, definition_ptr, std::less<>> by_hash;
  };
  std::shared_ptr<const content> now() const;

  mutable std::mutex mutex_; // guards the pointer only
  std::shared_ptr<const content> content_ = std::make_shared<const content>();
};

} // namespace troupe::workflow
