#pragma once

// How keys are laid out in RocksDB; described in storage/README.md.

#include "storage/journal.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::storage {

/// Names longer than this are refused; ours have less than a hundred bytes.
inline constexpr std::size_t name_bytes_max = 1024;

/// True for what may stand before a number: not empty, no 0x00, not longer than name_bytes_max.
bool is_name(std::string_view name);

/// One more than any table's byte.
inline constexpr std::size_t tables_max = 64;

/// The key of a row in the column family of the tables: the table's byte, then the key.
std::string table_key(table in, std::string_view key);

/// Eight bytes, big-endian.
void append_number(std::string& out, std::uint64_t number);
std::uint64_t read_number(std::string_view eight_bytes);

/// The first key after all that begin with `prefix`; empty when there is none.
std::string after_prefix(std::string_view prefix);

} // namespace troupe::storage
