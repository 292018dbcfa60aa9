#pragma once

// One try of a stage on this node: what the engine talks to while it runs. Made by the executor, shared with the slot
// that works on it.

#include "gpu/engines/engine.hpp"
#include "gpu/wire/messages.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

namespace troupe::node {

struct report_limits {
  std::int64_t progress_ms = 250; // at most one progress in so long
  std::int64_t preview_ms = 2000; // and one preview
  std::size_t preview_bytes = 64 << 10;
};

/// Why an attempt was broken off. What becomes of an abandoned one does not count: the head has given it to another.
enum class break_off { none, cancelled, timed_out, abandoned };

class attempt final : public engines::stage_context {
public:
  using sender = std::function<bool(wire::from_node&&)>;
  attempt(wire::assign what_, sender send, report_limits limits = {})
    : what(std::move(what_)), send_(std::move(send)), limits_(limits) {}

  void progress(double fraction, const std::string& step) override;
  void preview(std::string jpeg) override;
  bool wants_preview() override;
  bool cancelled() const override { return why_ != break_off::none; }
  void on_cancel(std::function<void()> breaker) override;

  /// Tells the engine to stop, from any thread. The first reason stays.
  void stop(break_off why);
  break_off why() const { return why_; }
  /// When it was told to stop (steady_ms); 0: it was not.
  std::int64_t stopped_at() const { return stopped_at_; }

  /// The engine is at work from here on; its time-out counts.
  void begin_run();
  void end_run();
  bool running() const { return running_; }
  bool timed_out(std::int64_t now) const;
  std::uint32_t run_ms() const { return run_ms_; }

  const wire::assign what;

private:
  sender send_;
  report_limits limits_;
  std::atomic<break_off> why_{break_off::none};
  std::atomic<std::int64_t> stopped_at_{0}, began_at_{0};
  std::atomic<bool> running_{false};
  std::atomic<std::uint32_t> run_ms_{0};
  std::mutex mutex_; // of what follows
  std::int64_t progress_at_ = 0, preview_at_ = 0;
  double fraction_ = 0;
  std::recursive_mutex stop_mutex_; // held while a stop runs, so that taking it back waits for it
  std::function<void()> stop_;
};

} // namespace troupe::node
