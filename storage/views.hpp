#pragma once

#include "storage/store.hpp"

#include <functional>

namespace troupe::storage {

/// The reads of `database`; see there. What cannot be read is logged and taken for absent.
std::optional<std::string> get_row(const store& from, table in, std::string_view key);
void scan_rows(const store& from, table in, std::string_view prefix, std::string_view after, bool backwards,
               const std::function<bool(std::string_view key, std::string_view value)>& visit);
std::vector<std::pair<std::uint64_t, std::string>> read_feed(const store& from, const account_id& account,
                                                             std::uint64_t after, std::size_t count);
std::uint64_t last_of_feed(const store& from, const account_id& account);

} // namespace troupe::storage
