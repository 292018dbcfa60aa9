#pragma once

#include "storage/keys.hpp"
#include "storage/last_numbers.hpp"
#include "storage/store.hpp"

#include <rocksdb/write_batch.h>

#include <bitset>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace troupe::storage {

/// The batches that go to disk with one sync. Each is judged against what is on disk and what the batches before it in
/// the group will have written; one that is refused leaves no trace. Used by the journal's thread alone.
class group {
public:
  group(const store& disk, last_numbers& known) : disk_(disk), known_(known) {}

  /// Takes the batch in (`ok`) or refuses it: `exists`, `conflict`, or `failed` when the disk cannot be read.
  commit_status add(const batch& what);

  rocksdb::WriteBatch& changes() { return changes_; }
  std::uint64_t events() const { return events_; }
  /// The tables of which rows were written or deleted.
  const std::bitset<tables_max>& tables() const { return tables_; }
  /// Accounts whose log grew, in the order in which they came, with the last id of each.
  std::vector<std::pair<account_id, std::uint64_t>> feeds() const;
  /// To be called once the changes are on disk.
  void remember();

private:
  using numbers = std::unordered_map<std::string, std::uint64_t>;
  using presences = std::unordered_map<std::string, bool>; // of table keys
  struct proposal {
    numbers last;
    presences rows;
    std::vector<std::uint64_t> erased; // for each erasure, the number of the last event or entry
  };

  commit_status judge(const batch& what, proposal& then);
  commit_status judge_sequence(column where, const std::string& name, std::uint64_t first, std::size_t count,
                               proposal& then);
  commit_status judge_erasure(const batch& whole, const erasure& what, proposal& then);
  commit_status judge_row(const row& what, proposal& then);
  result<std::uint64_t> last_number(column where, const std::string& name, const proposal& then);
  result<bool> is_there(const std::string& key, const proposal& then);
  void write(const batch& what);
  void erase(const erasure& what, std::uint64_t last);
  void write_sequence(column where, const std::string& name, std::uint64_t first,
                      const std::vector<std::string>& values);

  const store& disk_;
  last_numbers& known_;
  rocksdb::WriteBatch changes_;
  numbers last_;
  presences rows_;
  std::vector<std::string> fed_; // accounts, each once, in order
  std::unordered_set<std::string> fed_once_;
  std::bitset<tables_max> tables_;
  std::uint64_t events_ = 0;
};

} // namespace troupe::storage
