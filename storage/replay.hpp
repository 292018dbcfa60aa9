#pragma once

#include "storage/store.hpp"

namespace troupe::storage {

/// A snapshot as a record of ours: a version byte, the sequence in eight bytes, the state as the actor packed it.
std::string snapshot_record(const snapshot& what);
/// The same, read back: nothing where there is no record. Errors: those of `record`, `corrupt`, `newer`.
result<std::optional<snapshot>> read_snapshot(const std::string& actor,
                                              const result<std::optional<std::string>>& record);

/// The journal's reads; see `journal`.
result<replayed> replay(const store& from, const std::string& actor);
result<std::vector<std::pair<std::uint64_t, std::string>>>
events(const store& from, const std::string& actor, std::uint64_t first, std::size_t count, bool newest_first);

} // namespace troupe::storage
