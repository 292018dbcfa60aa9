#include "gpu/engines/null/null_engine.hpp"

#include "gpu/engines/parameters.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fstream>

namespace troupe::engines {
namespace {

using namespace std::chrono_literals;

/// Waits as long as asked, or until cancelled; says how far it is ten times a second.
class pause {
public:
  explicit pause(stage_context& context) : context_(context) {
    context_.on_cancel([this] {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      wake_.notify_all();
    });
  }
  ~pause() { context_.on_cancel(nullptr); }
  pause(const pause&) = delete;
  pause& operator=(const pause&) = delete;

  /// False when cancelled.
  bool wait(std::chrono::milliseconds whole) {
    const auto begin = std::chrono::steady_clock::now();
    for (auto left = whole; left > 0ms;) {
      if (!sleep(std::min(left, 100ms)))
        return false;
      const auto gone = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
      left = whole - gone;
      const double fraction = static_cast<double>(gone.count()) / static_cast<double>(whole.count());
      context_.progress(std::min(1.0, fraction), "working");
    }
    return !context_.cancelled();
  }

private:
  /// The context is asked, and told, outside the lock: its on_cancel may be running with a lock of its own.
  bool sleep(std::chrono::milliseconds time) {
    if (context_.cancelled())
      return false;
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [this] { return stopped_; });
  }

  stage_context& context_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;
};

fault fault_named(const std::string& name) {
  if (name == "bad_input")
    return fault::bad_input;
  if (name == "device")
    return fault::device;
  return name == "out_of_memory" ? fault::out_of_memory : fault::unknown;
}

/// splitmix64 (Steele, Lea, Flood 2014).
bool write_noise(const std::filesystem::path& path, std::uint64_t seed, std::size_t bytes) {
  std::string block;
  block.reserve(bytes + 8);
  while (block.size() < bytes) {
    std::uint64_t z = (seed += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    z ^= z >> 31U;
    for (unsigned shift = 0; shift < 64; shift += 8)
      block.push_back(static_cast<char>((z >> shift) & 0xFFU));
  }
  std::ofstream out(path, std::ios::binary);
  out.write(block.data(), static_cast<std::streamsize>(bytes));
  out.close();
  return out.good();
}

class null_engine final : public engine {
public:
  description describe() const override { return {"null", "1", {{"null.work", 0, false}}, true, "", "nothing"}; }

  stage_outcome run(const stage_request& request, stage_context& context) override {
    parameter_reader read(request.params);
    const std::chrono::milliseconds ms(read.integer("ms", 0, 0, 600'000));
    const std::string fails = read.choice("fail", {"", "bad_input", "device", "unknown", "out_of_memory"});
    const auto fail_attempts = read.integer("fail_attempts", 0, 0, 1'000'000);
    const auto attempt = read.integer("attempt", 1, 0, 1'000'000);
    const auto bytes = read.integer("bytes", 0, 0, 16'777'216);
    const auto seed = read.integer("seed", 0, 0, 0x7FFFFFFF);
    if (request.kind != "null.work")
      return stage_failure(fault::bad_input, "the null engine has no operation " + request.kind);
    if (read.failure())
      return *read.failure();
    if (ms > 0ms && !pause(context).wait(ms))
      return stage_failure(fault::cancelled, "cancelled");
    if (context.cancelled())
      return stage_failure(fault::cancelled, "cancelled");
    if (!fails.empty() && (fail_attempts == 0 || attempt <= fail_attempts))
      return stage_failure(fault_named(fails), "failed as asked: " + fails);
    stage_output made{{}, "null/1"};
    if (bytes > 0) {
      const auto path = request.folder / "data.bin";
      if (!write_noise(path, static_cast<std::uint64_t>(seed), static_cast<std::size_t>(bytes)))
        return stage_failure(fault::unknown, "the output file cannot be written");
      made.files.push_back({"data", path, "application/octet-stream", json::object()});
    }
    return made;
  }
};

} // namespace

engine_ptr make_null_engine() { return std::make_unique<null_engine>(); }

} // namespace troupe::engines
