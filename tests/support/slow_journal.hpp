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
  /// Writes what waits, in order, and answers.
  void let_go() {
    while (!waiting_.empty()) {
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
        written.push_back(std::move(what));
      }
      then(status);
    }
  }
  std::map<std::string, std::uint64_t> feed_ids; // the last one, by account

  result<storage::replayed> replay(const std::string& actor) const override {
    storage::replayed out;
    if (auto found = events_.find(actor); found != events_.end()) {
      out.events = found->second;
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
};

} // namespace troupe::testing
