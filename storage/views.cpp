#include "storage/views.hpp"

#include "common/foreign_bytes.hpp"
#include "common/log.hpp"
#include "storage/database.hpp"
#include "storage/keys.hpp"

#include <rocksdb/iterator.h>

namespace troupe::storage {

namespace {

void report(const failure& why) { log::error("storage: {}; check the disk, restore a backup", why.message); }

void report(const rocksdb::Status& status, const char* what) {
  if (!status.ok())
    report(failure_of(status, what));
}

// Stands on the first row to visit.
void go_to_start(rocksdb::Iterator& at, const std::string& first, const std::string& end, const std::string& after,
                 bool backwards) {
  if (!backwards) {
    at.Seek(std::max(first, after));
    if (at.Valid() && at.key() == after)
      at.Next();
    return;
  }
  const auto& bound = after.empty() || (!end.empty() && end < after) ? end : after;
  if (bound.empty())
    at.SeekToLast();
  else
    at.SeekForPrev(bound);
  if (at.Valid() && !bound.empty() && at.key() == bound) // both bounds are the first key not wanted
    at.Prev();
}

} // namespace

std::optional<std::string> get_row(const store& from, table in, std::string_view key) {
  auto found = from.get(column::tables, table_key(in, key));
  if (found)
    return std::move(*found);
  report(found.error());
  return {};
}

void scan_rows(const store& from, table in, std::string_view prefix, std::string_view after, bool backwards,
               const std::function<bool(std::string_view key, std::string_view value)>& visit) {
  auto first = table_key(in, prefix);
  auto end = after_prefix(first);
  auto start = after.empty() ? std::string{} : table_key(in, after);
  rocksdb::ReadOptions options;
  rocksdb::Slice lower{first}, upper{end};
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = end.empty() ? nullptr : &upper;
  store::use held{from};
  auto opened = from.iterate(column::tables, options);
  if (!opened)
    return report(opened.error());
  auto& at = *opened;
  for (go_to_start(*at, first, end, start, backwards); at->Valid(); backwards ? at->Prev() : at->Next())
    if (!visit(at->key().ToStringView().substr(1), foreign_bytes(at->value().ToStringView()).view()))
      break;
  report(at->status(), "cannot read rows");
}

std::vector<std::pair<std::uint64_t, std::string>> read_feed(const store& from, const account_id& account,
                                                             std::uint64_t after, std::size_t count) {
  std::vector<std::pair<std::uint64_t, std::string>> out;
  if (!is_name(account.value) || after == UINT64_MAX)
    return out;
  rocksdb::ReadOptions options;
  options.prefix_same_as_start = true;
  store::use held{from};
  auto opened = from.iterate(column::feed, options);
  if (!opened) {
    report(opened.error());
    return out;
  }
  auto& at = *opened;
  auto prefix = key_of(account.value, "");
  for (at->Seek(key_of(account.value, after + 1)); out.size() < count && at->Valid(); at->Next()) {
    if (!at->key().starts_with(prefix))
      break;
    out.emplace_back(number_at_end(at->key().ToStringView()), foreign_bytes(at->value().ToStringView()).view());
  }
  report(at->status(), "cannot read an account's log");
  return out;
}

std::uint64_t last_of_feed(const store& from, const account_id& account) {
  if (!is_name(account.value))
    return 0;
  auto last = from.last_number(column::feed, account.value);
  if (last)
    return *last;
  report(last.error());
  return 0;
}

} // namespace troupe::storage
