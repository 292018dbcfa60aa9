#pragma once

#include "storage/store.hpp"

namespace troupe::storage {

/// A snapshot as a record of ours: a version byte, the sequence in eight bytes, the state as the actor packed it.
std::string snapshot_record(const snapshot& what);
/// The same, read back. Errors: `corrupt`, `newer`.
result<snapshot> read_snapshot_record(const std::string& actor, std::string_view bytes);

/// The journal's reads; see `journal`.
result<replayed> replay(const store& from, const std::string& actor);
result<std::vector<std::pair<std::uint64_t, std::string>>>
events(const store& from, const std::string& actor, std::uint64_t first, std::size_t count, bool newest_first);

} // namespace troupe::storage
