#pragma once

// A database in a folder of its own, and batches in the words of the tests.

#include "common/random.hpp"
#include "storage/database.hpp"
#include "storage/open_database.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

namespace troupe::storage::testing {

class temporary_folder {
public:
  temporary_folder() : path_(std::filesystem::temp_directory_path() / ("troupe-storage-" + random_hex(6))) {
    std::filesystem::create_directories(path_);
  }
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

inline database_options in(const temporary_folder& folder) {
  database_options out;
  out.directory = folder.path() / "data";
  out.cache_mib = 8;
  return out;
}

inline open_options opened_in(const temporary_folder& folder) {
  open_options out;
  out.database = in(folder);
  return out;
}

inline batch events_of(std::string actor, std::uint64_t first, std::vector<std::string> values) {
  batch out;
  out.appends.push_back({std::move(actor), first, std::move(values)});
  return out;
}

inline batch entries_of(std::string account, std::uint64_t first, std::vector<std::string> values) {
  batch out;
  out.feeds.push_back({{std::move(account)}, first, std::move(values)});
  return out;
}

inline batch put(table where, std::string key, std::string value) {
  batch out;
  out.rows.push_back({where, std::move(key), std::move(value), false});
  return out;
}

inline batch claim(table where, std::string key, std::string value) {
  auto out = put(where, std::move(key), std::move(value));
  out.rows.front().only_if_absent = true;
  return out;
}

inline batch removal(table where, std::string key) {
  batch out;
  out.rows.push_back({where, std::move(key), {}, false});
  return out;
}

inline batch snapshot_of(std::string actor, std::uint64_t seq, std::string state) {
  batch out;
  out.snapshots.push_back({std::move(actor), seq, std::move(state)});
  return out;
}

inline batch operator+(batch left, batch right) {
  auto move_all = [](auto& from, auto& to) { std::move(from.begin(), from.end(), std::back_inserter(to)); };
  move_all(right.appends, left.appends);
  move_all(right.feeds, left.feeds);
  move_all(right.rows, left.rows);
  move_all(right.snapshots, left.snapshots);
  return left;
}

/// Commits and waits.
inline commit_status write(database& to, batch what) {
  std::promise<commit_status> answer;
  to.journal().commit(std::move(what), [&](commit_status status) { answer.set_value(status); });
  return answer.get_future().get();
}

/// Commits all before the first is answered, as far as the journal's thread lets it; the answers, in order.
inline std::vector<commit_status> write_together(database& to, std::vector<batch> what) {
  std::vector<std::promise<commit_status>> answers(what.size());
  // The journal's thread is held in a callback, so that all of them go into the next group.
  std::promise<void> held, go_on;
  to.journal().commit({}, [&](commit_status) {
    held.set_value();
    go_on.get_future().wait();
  });
  held.get_future().wait();
  for (std::size_t i = 0; i < what.size(); ++i)
    to.journal().commit(std::move(what[i]), [&, i](commit_status status) { answers[i].set_value(status); });
  go_on.set_value();
  std::vector<commit_status> out;
  for (auto& answer : answers)
    out.push_back(answer.get_future().get());
  return out;
}

template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class storage_test : public ::testing::Test {
protected:
  void open() {
    db.reset();
    auto opened = database::open(in(folder));
    ASSERT_TRUE(opened) << opened.error().message;
    db = std::move(*opened);
  }
  void SetUp() override { open(); }

  temporary_folder folder;
  std::unique_ptr<database> db;
};

} // namespace troupe::storage::testing

namespace troupe::storage {
inline std::ostream& operator<<(std::ostream& out, commit_status status) { return out << to_string(status); }
} // namespace troupe::storage
