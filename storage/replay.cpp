#include "storage/replay.hpp"

#include "common/foreign_bytes.hpp"
#include "storage/database.hpp"
#include "storage/keys.hpp"

#include <rocksdb/iterator.h>

namespace troupe::storage {

namespace {

constexpr char snapshot_version = 1;

result<std::unique_ptr<rocksdb::Iterator>> events_of(const store& from) {
  rocksdb::ReadOptions options;
  options.prefix_same_as_start = true;
  return from.iterate(column::events, options);
}

bool belongs_to(const rocksdb::Iterator& at, const std::string& actor) {
  auto key = at.key();
  return key.size() == actor.size() + 9 && key.starts_with(actor) && key[actor.size()] == '\0';
}

failure invalid_name() { return fail("invalid", "not the name of an actor"); }

} // namespace

std::string snapshot_record(const snapshot& what) {
  std::string out(1, snapshot_version);
  append_number(out, what.seq);
  out += what.state;
  return out;
}

result<std::optional<snapshot>> read_snapshot(const std::string& actor,
                                              const result<std::optional<std::string>>& record) {
  if (!record)
    return record.error();
  if (!*record)
    return std::optional<snapshot>{};
  std::string_view bytes = **record;
  if (!bytes.empty() && bytes.front() > snapshot_version)
    return fail("newer", "the snapshot of " + actor + " was written by a newer version");
  if (bytes.size() < 9 || bytes.front() != snapshot_version)
    return fail("corrupt", "the snapshot of " + actor + " is damaged; restore a backup");
  return std::optional{snapshot{actor, read_number(bytes.substr(1, 8)), std::string{bytes.substr(9)}}};
}

result<replayed> replay(const store& from, const std::string& actor) {
  if (!is_name(actor))
    return invalid_name();
  store::use held{from};
  replayed out;
  auto start = read_snapshot(actor, from.get(column::snapshots, actor));
  if (!start)
    return start.error();
  out.from = std::move(*start);
  out.last_seq = out.from ? out.from->seq : 0;
  auto opened = events_of(from);
  if (!opened)
    return opened.error();
  auto& at = *opened;
  for (at->Seek(key_of(actor, out.last_seq + 1)); at->Valid() && belongs_to(*at, actor); at->Next()) {
    auto seq = number_at_end(at->key().ToStringView());
    if (seq != out.last_seq + 1)
      return fail("corrupt",
                  "event " + std::to_string(out.last_seq + 1) + " of " + actor + " is missing; restore a backup");
    out.events.emplace_back(foreign_bytes(at->value().ToStringView()).view());
    out.last_seq = seq;
  }
  if (!at->status().ok())
    return failure_of(at->status(), "cannot read the events of " + actor);
  return out;
}

result<std::vector<std::pair<std::uint64_t, std::string>>>
events(const store& from, const std::string& actor, std::uint64_t first, std::size_t count, bool newest_first) {
  if (!is_name(actor))
    return invalid_name();
  std::vector<std::pair<std::uint64_t, std::string>> out;
  store::use held{from};
  auto opened = events_of(from);
  if (!opened)
    return opened.error();
  auto& at = *opened;
  if (newest_first)
    at->SeekForPrev(key_of(actor, first == 0 ? UINT64_MAX : first));
  else
    at->Seek(key_of(actor, first));
  while (out.size() < count && at->Valid() && belongs_to(*at, actor)) {
    out.emplace_back(number_at_end(at->key().ToStringView()), foreign_bytes(at->value().ToStringView()).view());
    newest_first ? at->Prev() : at->Next();
  }
  if (!at->status().ok())
    return failure_of(at->status(), "cannot read the events of " + actor);
  return out;
}

} // namespace troupe::storage
