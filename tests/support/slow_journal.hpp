#pragma once

// A journal whose disk a test can stop and break. It checks sequences as the real one does.

#include "storage/journal.hpp"

#include <deque>
#include <map>

namespace troupe::testing {

class slow_journal final : public storage::journal {
public:
  bool stopped = false;                                            // commits wait until let_go()
  storage::commit_status next_status = storage::commit_status::ok; // of all commits until it is set again
  std::vector<storage::batch> written;

  void commit(storage::batch what, done then) override {
    waiting_.emplace_back(std::move(what), std::move(then));
    if (!stopped)
      let_go();
  }
  /// Writes what waits, in order, and answers; at most `count`.
  void let_go(std::size_t count = SIZE_MAX) {
    for (; count > 0 && !waiting_.empty(); --count) {
      auto [what, then] = std::move(waiting_.front());
      waiting_.pop_front();
      auto status =
          next_status == storage::commit_status::ok && !follows(what) ? storage::commit_status::conflict : next_status;
      if (status == storage::commit_status::ok) {
        for (const auto& a : what.appends)
          for (const auto& e : a.events)
            events_[a.actor].push_back(e);
        for (const auto& f : what.feeds)
          feed_ids[f.account.value] = f.first_id + f.entries.size() - 1;
        for (const auto& s : what.snapshots)
          snapshots_[s.actor] = s;
        if (keep_written)
          written.push_back(std::move(what));
      }
      then(status);
    }
  }
  /// The process dies: what was not written is lost, and nobody is told.
  void forget() { waiting_.clear(); }
  std::size_t waiting() const { return waiting_.size(); }
  bool keep_written = true;                      // false: a long test needs no list of all batches
  std::map<std::string, std::uint64_t> feed_ids; // the last one, by account

  result<storage::replayed> replay(const std::string& actor) const override {
    storage::replayed out;
    if (auto found = events_.find(actor); found != events_.end()) {
      auto snapshot = snapshots_.find(actor);
      if (snapshot != snapshots_.end())
        out.from = snapshot->second;
      auto first = static_cast<std::ptrdiff_t>(out.from ? out.from->seq : 0);
      out.events.assign(found->second.begin() + first, found->second.end());
      out.last_seq = found->second.size();
    }
    return out;
  }
  result<std::vector<std::pair<std::uint64_t, std::string>>> events(const std::string&, std::uint64_t, std::size_t,
                                                                    bool) const override {
    return std::vector<std::pair<std::uint64_t, std::string>>{};
  }
  void on_feed(std::function<void(const account_id&, std::uint64_t)>) override {}
  storage::journal_counters counters() const override { return {}; }

private:
  bool follows(const storage::batch& what) const {
    for (const auto& a : what.appends) {
      auto found = events_.find(a.actor);
      if (a.first_seq != (found == events_.end() ? 0 : found->second.size()) + 1)
        return false;
    }
    return true;
  }

  std::deque<std::pair<storage::batch, done>> waiting_;
  std::map<std::string, std::vector<std::string>> events_;
  std::map<std::string, storage::snapshot> snapshots_; // the newest
};

} // namespace troupe::testing
