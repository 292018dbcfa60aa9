#pragma once

// What Prometheus reads. Sources are asked when it does, so that counting costs nothing between.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::http {

/// Writes the text format (version 0.0.4).
class metrics_text {
public:
  using labels = std::vector<std::pair<std::string, std::string>>;
  /// `type` is "counter", "gauge" or "histogram". HELP and TYPE are written once per name, so a metric's samples must
  /// follow each other.
  void begin(std::string_view name, std::string_view type, std::string_view help);
  void sample(std::string_view name, const labels& with, double value);
  void gauge(std::string_view name, std::string_view help, double value);
  void counter(std::string_view name, std::string_view help, double value);
  std::string take() && { return std::move(out_); }

private:
  std::string out_;
};

/// All sources of the process. Thread-safe; a source may be asked from any of the server's threads and must not block.
class metrics {
public:
  using source = std::function<void(metrics_text&)>;
  void add_source(source s);
  std::string text() const;

private:
  mutable std::mutex mutex_;
  std::vector<source> sources_;
};

/// Counts requests by operation and status, and how long they took. Thread-safe.
class request_metrics {
public:
  /// `operation` must come from a declaration: what a client chose would make endless series.
  void count(const std::string& operation, int status, double seconds);
  void write(metrics_text& out) const;

private:
  static constexpr std::array bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                     0.25,  0.5,    1.0,   2.5,  5.0,   10.0, 30.0};
  struct series {
    std::map<int, std::uint64_t> by_status;
    std::array<std::uint64_t, bounds.size() + 1> buckets{};
    double seconds = 0;
    std::uint64_t total = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, series> by_operation_;
};

} // namespace troupe::http
