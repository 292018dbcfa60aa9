#include "storage/database.hpp"

#include "storage/lock.hpp"
#include "storage/open_database.hpp"
#include "storage/sequences.hpp"
#include "storage/views.hpp"

namespace troupe::storage {

namespace {

// The order of the members is the order of the shutdown, from below: the journal drains, RocksDB closes, the lock goes.
class rocks_database final : public database {
public:
  rocks_database(data_lock lock, std::unique_ptr<store> disk, const journal_limits& limits)
    : lock_(std::move(lock)), disk_(std::move(disk)), sequences_(*disk_), journal_(*disk_, limits) {}

  storage::journal& journal() override { return journal_; }
  std::optional<std::string> get(table in, std::string_view key) const override { return get_row(*disk_, in, key); }
  void scan(table in, std::string_view prefix, std::string_view after, bool backwards,
            const std::function<bool(std::string_view key, std::string_view value)>& visit) const override {
    scan_rows(*disk_, in, prefix, after, backwards, visit);
  }
  std::vector<std::pair<std::uint64_t, std::string>> feed(const account_id& account, std::uint64_t after,
                                                          std::size_t count) const override {
    return read_feed(*disk_, account, after, count);
  }
  std::uint64_t feed_last(const account_id& account) const override {
    if (auto last = journal_.feed_last(account))
      return *last;
    return last_of_feed(*disk_, account);
  }
  std::uint64_t version(table of) const override { return journal_.version(of); }
  std::uint64_t next_number(const std::string& sequence) override { return sequences_.next(sequence); }
  std::uint64_t epoch() const override { return disk_->epoch(); }

private:
  data_lock lock_;
  std::unique_ptr<store> disk_;
  sequences sequences_;
  journal_thread journal_;
};

} // namespace

result<std::unique_ptr<database>> open_database(const open_options& options) {
  const auto& directory = options.database.directory;
  std::error_code error;
  if (std::filesystem::create_directories(directory, error))
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error); // it holds people's sessions
  if (error)
    return fail("io", "cannot make the data directory " + directory.string() + ": " + error.message());
  auto lock = data_lock::take(directory);
  if (!lock)
    return lock.error();
  auto disk = store::open({directory / "db", options.database.cache_mib, options.disk, options.schema, options.steps});
  if (!disk)
    return disk.error();
  return std::make_unique<rocks_database>(std::move(*lock), std::move(*disk), options.journal);
}

result<std::unique_ptr<database>> database::open(const database_options& options) {
  open_options all;
  all.database = options;
  all.journal.queue_max = options.journal_queue_max;
  all.journal.queue_bytes_max = options.journal_queue_mib << 20;
  all.journal.reserve_bytes = options.reserve_mib << 20;
  all.journal.sync = options.sync;
  return open_database(all);
}

} // namespace troupe::storage
