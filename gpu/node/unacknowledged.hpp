#pragma once

// What ended and the head has not yet said to have noted. A result with files is also kept on disk, so that a node that
// is killed and started again can still report it: the files are on the head, only the word is missing.

#include "gpu/wire/messages.hpp"

#include <filesystem>
#include <map>
#include <variant>

namespace troupe::node {

using report = std::variant<wire::finished, wire::failed>;
const wire::attempt_ref& ref_of(const report& what);

/// Not thread-safe, but for save().
class unacknowledged {
public:
  /// Reads what an earlier process left; what cannot be read is dropped.
  explicit unacknowledged(std::filesystem::path folder, std::size_t count_max = 5'000);

  /// Writes a result with files to disk, before add(). From any thread.
  void save(const wire::finished& what) const;
  /// Keeps it; beyond the limit the oldest is forgotten.
  void add(report what);
  const report* find(const wire::attempt_ref& ref) const;
  void acknowledge(const wire::attempt_ref& ref);
  const std::map<wire::attempt_ref, report>& all() const { return reports_; }

private:
  std::filesystem::path file_of(const wire::attempt_ref& ref) const;

  std::filesystem::path folder_;
  std::size_t count_max_;
  std::map<wire::attempt_ref, report> reports_;
};

} // namespace troupe::node
