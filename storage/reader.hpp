#pragma once

// Looks at a database without writing to it: for audits. Works beside the process that has it open, and sees what was
// on the disk when it was opened; what is written later it does not see.

#include "storage/journal.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

namespace troupe::storage {

class reader {
public:
  /// `directory` is the data directory. Errors: `not_found` (no database is there), `io`, `corrupt`.
  static result<std::unique_ptr<reader>> open(const std::filesystem::path& directory);
  virtual ~reader() = default;

  using visit_event = std::function<void(std::string_view actor, std::uint64_t seq, std::string_view event)>;
  /// All events of the actors whose name begins with `prefix`, by actor and in order. Errors: `io`, `corrupt`.
  virtual result<void> events(std::string_view prefix, const visit_event& visit) const = 0;
  /// The newest snapshot of an actor. Errors: `io`, `corrupt`, `newer`.
  virtual result<std::optional<snapshot>> snapshot_of(const std::string& actor) const = 0;
  /// A row. Errors: `io`, `corrupt`.
  virtual result<std::optional<std::string>> row(table in, std::string_view key) const = 0;
  /// All rows of a table. Errors: `io`, `corrupt`.
  virtual result<void> rows(table in,
                            const std::function<void(std::string_view key, std::string_view value)>& visit) const = 0;
};

} // namespace troupe::storage
