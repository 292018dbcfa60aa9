#include "actors/ledger/orphan_holds.hpp"

#include "common/json.hpp"

namespace troupe::ledger {

std::vector<orphan_hold> orphan_holds(const storage::database& from, timestamp made_before, std::size_t count) {
  std::vector<orphan_hold> out;
  from.scan(storage::table::open_holds, "", "", false, [&](std::string_view key, std::string_view value) {
    auto row = unpack(value);
    auto end = key.find('\0');
    if (!row || end == std::string_view::npos || row->value("at", timestamp{0}) >= made_before)
      return true;
    auto job = key.substr(end + 1);
    if (!from.get(storage::table::open_jobs, job))
      out.push_back({std::string{key.substr(0, end)}, std::string{job}});
    return out.size() < count;
  });
  return out;
}

} // namespace troupe::ledger
