#include "gpu/engines/scene/threads.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace troupe::engines::scene {

class thread_team::team {
public:
  explicit team(unsigned threads) {
    for (unsigned i = 1; i < std::clamp(threads, 1U, 64U); ++i)
      others_.emplace_back([this](const std::stop_token& stop) { wait_for_work(stop); });
  }

  void run(int count, const std::function<void(int, int)>& rows) {
    std::unique_lock lock(mutex_);
    rows_ = &rows;
    count_ = count;
    next_ = 0;
    finished_ = 0;
    ++round_;
    wake_.notify_all();
    work(lock);
    // Only for rows that others have begun: a thread that has not even woken up is not waited for.
    done_.wait(lock, [this] { return finished_ == count_; });
  }

private:
  static constexpr int block = 8;

  /// Takes blocks until none are left. Blocks are taken under the lock, so that a late thread cannot take one of the
  /// next round for the last one's.
  void work(std::unique_lock<std::mutex>& lock) {
    const auto& rows = *rows_;
    const auto round = round_;
    while (round_ == round && next_ < count_) {
      const int from = next_, to = std::min(count_, from + block);
      next_ = to;
      lock.unlock();
      rows(from, to);
      lock.lock();
      finished_ += to - from;
    }
    if (finished_ == count_)
      done_.notify_one();
  }

  void wait_for_work(const std::stop_token& stop) {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [&] { return round_ != seen; })) {
      seen = round_;
      if (next_ < count_)
        work(lock);
    }
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::condition_variable done_;
  const std::function<void(int, int)>* rows_ = nullptr;
  int count_ = 0;
  int next_ = 0;
  int finished_ = 0;
  std::uint64_t round_ = 0;
  std::vector<std::jthread> others_; // last: joined before the rest goes
};

thread_team::thread_team(unsigned threads) : team_(std::make_unique<team>(threads)) {}
thread_team::~thread_team() = default;

void thread_team::run(int count, const std::function<void(int from, int to)>& rows) { team_->run(count, rows); }

} // namespace troupe::engines::scene
