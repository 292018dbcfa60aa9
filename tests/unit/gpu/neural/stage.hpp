#pragma once

// A stage to run an engine on: a folder of its own, and a context that remembers and may be told to cancel.

#include "gpu/engines/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace troupe::engines::testing {

inline std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class temporary_folder {
public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "neural-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~temporary_folder() { std::filesystem::remove_all(path_); }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

class recording_context final : public stage_context {
public:
  void progress(double fraction, const std::string& step) override {
    EXPECT_GE(fraction, last_fraction);
    EXPECT_LE(fraction, 1);
    last_fraction = fraction;
    last_step = step;
    if (cancel_at_progress)
      cancel();
  }
  void preview(std::string jpeg) override { previews.push_back(std::move(jpeg)); }
  bool wants_preview() override { return previews.empty(); }
  bool cancelled() const override { return cancelled_; }
  void on_cancel(std::function<void()> stop) override {
    std::lock_guard lock(mutex_);
    stop_ = std::move(stop);
    if (stop_ && cancelled_)
      stop_();
  }
  void cancel() {
    std::lock_guard lock(mutex_);
    if (!cancelled_.exchange(true))
      cancelled_at = std::chrono::steady_clock::now();
    if (stop_)
      stop_();
  }

  double last_fraction = 0;
  std::string last_step;
  std::vector<std::string> previews;
  bool cancel_at_progress = false;
  std::chrono::steady_clock::time_point cancelled_at;

private:
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::function<void()> stop_;
};

/// One run in a folder of its own, which lasts as long as this.
class stage {
public:
  stage(engine& who, const std::string& kind, json params, std::vector<input_file> inputs = {}) : who_(who) {
    request.kind = kind;
    request.params = std::move(params);
    request.inputs = std::move(inputs);
    request.folder = folder_.path();
    request.threads = 2;
  }
  stage_outcome run() { return who_.run(request, context); }

  stage_request request;
  recording_context context;

private:
  temporary_folder folder_;
  engine& who_;
};

inline input_file input(const std::string& port, const std::filesystem::path& path, const std::string& type) {
  return {port, path, type, json::object()};
}

} // namespace troupe::engines::testing
