#include "storage/group.hpp"

#include "common/log.hpp"
#include "storage/database.hpp"
#include "storage/keys.hpp"
#include "storage/replay.hpp"

#include <algorithm>

namespace troupe::storage {

namespace {

// Actors and accounts have numbers of their own, and a name may be in both.
std::string sequence_of(column where, const std::string& name) { return (where == column::events ? 'e' : 'f') + name; }

} // namespace

commit_status group::add(const batch& what) {
  proposal then;
  if (auto verdict = judge(what, then); verdict != commit_status::ok)
    return verdict;
  write(what);
  for (std::size_t i = 0; i < what.erasures.size(); ++i)
    erase(what.erasures[i], then.erased[i]);
  for (auto& [name, number] : then.last)
    last_[name] = number;
  for (auto& [key, present] : then.rows)
    rows_[key] = present;
  return commit_status::ok;
}

commit_status group::judge(const batch& what, proposal& then) {
  for (const auto& a : what.appends)
    if (auto verdict = judge_sequence(column::events, a.actor, a.first_seq, a.events.size(), then);
        verdict != commit_status::ok)
      return verdict;
  for (const auto& f : what.feeds)
    if (auto verdict = judge_sequence(column::feed, f.account.value, f.first_id, f.entries.size(), then);
        verdict != commit_status::ok)
      return verdict;
  for (const auto& s : what.snapshots) {
    if (!is_name(s.actor))
      return commit_status::conflict;
    auto last = last_number(column::events, s.actor, then);
    if (!last)
      return commit_status::failed;
    if (s.seq > *last) // a state of events that are not there
      return commit_status::conflict;
  }
  for (const auto& r : what.rows)
    if (auto verdict = judge_row(r, then); verdict != commit_status::ok)
      return verdict;
  for (const auto& e : what.erasures)
    if (auto verdict = judge_erasure(what, e, then); verdict != commit_status::ok)
      return verdict;
  return commit_status::ok;
}

commit_status group::judge_erasure(const batch& whole, const erasure& what, proposal& then) {
  auto where = what.what == erasure::part::log ? column::feed : column::events;
  if (!is_name(what.name))
    return commit_status::conflict;
  auto last = last_number(where, what.name, then);
  if (!last)
    return commit_status::failed;
  auto covers = [&](const snapshot& s) { return s.actor == what.name && s.seq == *last; };
  if (what.what == erasure::part::past && std::none_of(whole.snapshots.begin(), whole.snapshots.end(), covers))
    return commit_status::conflict; // without its past it could not be read back
  then.erased.push_back(*last);
  if (what.what == erasure::part::actor)
    then.last[sequence_of(where, what.name)] = 0;
  return commit_status::ok;
}

commit_status group::judge_sequence(column where, const std::string& name, std::uint64_t first, std::size_t count,
                                    proposal& then) {
  if (!is_name(name))
    return commit_status::conflict;
  auto last = last_number(where, name, then);
  if (!last)
    return commit_status::failed;
  if (first != *last + 1)
    return commit_status::conflict;
  then.last[sequence_of(where, name)] = *last + count;
  return commit_status::ok;
}

commit_status group::judge_row(const row& what, proposal& then) {
  auto key = table_key(what.in, what.key);
  if (what.only_if_absent) {
    auto present = is_there(key, then);
    if (!present)
      return commit_status::failed;
    if (*present)
      return commit_status::exists;
  }
  then.rows[std::move(key)] = what.value.has_value();
  return commit_status::ok;
}

result<std::uint64_t> group::last_number(column where, const std::string& name, const proposal& then) {
  auto sequence = sequence_of(where, name);
  if (auto at = then.last.find(sequence); at != then.last.end())
    return at->second;
  if (auto at = last_.find(sequence); at != last_.end())
    return at->second;
  if (auto number = known_.find(sequence))
    return *number;
  auto read = disk_.last_number(where, name);
  if (read)
    known_.put(sequence, *read);
  else
    log::error("journal: {} ({})", read.error().message, name);
  return read;
}

result<bool> group::is_there(const std::string& key, const proposal& then) {
  if (auto at = then.rows.find(key); at != then.rows.end())
    return at->second;
  if (auto at = rows_.find(key); at != rows_.end())
    return at->second;
  auto read = disk_.get(column::tables, key);
  if (!read) {
    log::error("journal: {}", read.error().message);
    return read.error();
  }
  return read->has_value();
}

void group::write(const batch& what) {
  for (const auto& a : what.appends) {
    write_sequence(column::events, a.actor, a.first_seq, a.events);
    events_ += a.events.size();
  }
  for (const auto& f : what.feeds) {
    write_sequence(column::feed, f.account.value, f.first_id, f.entries);
    if (!f.entries.empty() && fed_once_.insert(f.account.value).second)
      fed_.push_back(f.account.value);
  }
  for (const auto& r : what.rows) {
    tables_.set(static_cast<std::size_t>(r.in));
    if (r.value)
      changes_.Put(disk_.handle(column::tables), table_key(r.in, r.key), *r.value);
    else
      changes_.Delete(disk_.handle(column::tables), table_key(r.in, r.key));
  }
  for (const auto& s : what.snapshots)
    changes_.Put(disk_.handle(column::snapshots), s.actor, snapshot_record(s));
}

void group::erase(const erasure& what, std::uint64_t last) {
  auto where = disk_.handle(what.what == erasure::part::log ? column::feed : column::events);
  if (what.what != erasure::part::actor) { // the last one says where the numbers go on
    if (last > 1)
      changes_.DeleteRange(where, key_of(what.name, std::uint64_t{1}), key_of(what.name, last));
    return;
  }
  for (std::uint64_t number = 1; number <= last; ++number)
    changes_.Delete(where, key_of(what.name, number));
  changes_.Delete(disk_.handle(column::snapshots), what.name);
}

void group::write_sequence(column where, const std::string& name, std::uint64_t first,
                           const std::vector<std::string>& values) {
  auto key = name;
  key += '\0';
  for (std::size_t i = 0; i < values.size(); ++i) {
    key.resize(name.size() + 1);
    append_number(key, first + i);
    changes_.Put(disk_.handle(where), key, values[i]);
  }
}

std::vector<std::pair<account_id, std::uint64_t>> group::feeds() const {
  std::vector<std::pair<account_id, std::uint64_t>> out;
  for (const auto& account : fed_)
    out.emplace_back(account_id{account}, last_.at(sequence_of(column::feed, account)));
  return out;
}

void group::remember() {
  for (const auto& [sequence, number] : last_)
    known_.put(sequence, number);
}

} // namespace troupe::storage
