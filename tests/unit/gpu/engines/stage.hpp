#pragma once

// A stage as a node runs it, for tests of engines: a folder of its own and a context that records.

#include "gpu/engines/engine.hpp"

#include "common/random.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

namespace troupe::engines::test {

class recording_context final : public stage_context {
public:
  void progress(double fraction, const std::string& step) override {
    const std::lock_guard lock(mutex_);
    EXPECT_GE(fraction, fraction_) << "progress fell";
    EXPECT_LE(fraction, 1.0);
    fraction_ = fraction;
    steps.push_back(step);
  }
  void preview(std::string jpeg) override { previews.push_back(std::move(jpeg)); }
  bool wants_preview() override { return true; }
  bool cancelled() const override { return cancelled_; }
  void on_cancel(std::function<void()> stop) override {
    const std::lock_guard lock(mutex_);
    stop_ = std::move(stop);
    if (cancelled_ && stop_)
      stop_();
  }

  void cancel() {
    cancelled_ = true;
    const std::lock_guard lock(mutex_);
    if (stop_)
      stop_();
  }
  double fraction() const { return fraction_; }

  std::vector<std::string> steps;
  std::vector<std::string> previews;

private:
  std::mutex mutex_;
  std::function<void()> stop_;
  double fraction_ = 0;
  std::atomic<bool> cancelled_ = false;
};

/// A folder that goes when the test does.
class scratch {
public:
  scratch() : path_(std::filesystem::temp_directory_path() / ("troupe it's: [a] test-" + random_hex(8))) {
    std::filesystem::create_directories(path_);
  }
  ~scratch() { std::filesystem::remove_all(path_); }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// A fresh, empty folder.
  std::filesystem::path fresh() {
    const auto made = path_ / ("run " + std::to_string(++runs_));
    std::filesystem::create_directories(made);
    return made;
  }

private:
  std::filesystem::path path_;
  int runs_ = 0;
};

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs a stage and cancels it after `delay`; how long it then took to end, in milliseconds.
inline double time_to_cancel(engine& what, const stage_request& request, std::chrono::milliseconds delay,
                             stage_outcome& outcome) {
  recording_context context;
  std::chrono::steady_clock::time_point at;
  std::jthread canceller([&] {
    std::this_thread::sleep_for(delay);
    at = std::chrono::steady_clock::now();
    context.cancel();
  });
  outcome = what.run(request, context);
  const auto end = std::chrono::steady_clock::now();
  canceller.join();
  return std::chrono::duration<double, std::milli>(end - at).count();
}

} // namespace troupe::engines::test
