#include "http/metrics.hpp"

#include <algorithm>
#include <cstdio>

namespace troupe::http {

void metrics_text::begin(std::string_view name, std::string_view type, std::string_view help) {
  out_.append("# HELP ").append(name).append(" ").append(help).append("\n");
  out_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void metrics_text::sample(std::string_view name, const labels& with, double value) {
  out_ += name;
  if (!with.empty()) {
    char separator = '{';
    for (const auto& [key, text] : with) {
      out_ += separator;
      out_.append(key).append("=\"");
      for (char c : text) {
        if (c == '\\' || c == '"')
          out_ += '\\';
        if (c == '\n')
          out_ += "\\n";
        else
          out_ += c;
      }
      out_ += '"';
      separator = ',';
    }
    out_ += '}';
  }
  char number[40];
  std::snprintf(number, sizeof number, " %.15g\n", value);
  out_ += number;
}

void metrics_text::gauge(std::string_view name, std::string_view help, double value) {
  begin(name, "gauge", help);
  sample(name, {}, value);
}

void metrics_text::counter(std::string_view name, std::string_view help, double value) {
  begin(name, "counter", help);
  sample(name, {}, value);
}

void metrics::add_source(source s) {
  std::lock_guard lock{mutex_};
  sources_.push_back(std::move(s));
}

std::string metrics::text() const {
  std::vector<source> all;
  {
    std::lock_guard lock{mutex_};
    all = sources_;
  }
  metrics_text out;
  for (const auto& s : all)
    s(out);
  return std::move(out).take();
}

void request_metrics::count(const std::string& operation, int status, double seconds) {
  std::lock_guard lock{mutex_};
  auto& s = by_operation_[operation];
  ++s.by_status[status];
  auto bucket = std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin();
  ++s.buckets[static_cast<std::size_t>(bucket)];
  s.seconds += seconds;
  ++s.total;
}

void request_metrics::write(metrics_text& out) const {
  std::lock_guard lock{mutex_};
  out.begin("troupe_http_requests_total", "counter", "Requests answered, by operation and status");
  for (const auto& [operation, s] : by_operation_)
    for (auto [status, n] : s.by_status)
      out.sample("troupe_http_requests_total", {{"operation", operation}, {"status", std::to_string(status)}},
                 static_cast<double>(n));
  constexpr auto name = "troupe_http_request_seconds";
  out.begin(name, "histogram", "Time from a request's last byte to its answer's first, by operation");
  for (const auto& [operation, s] : by_operation_) {
    std::uint64_t up_to = 0;
    for (std::size_t i = 0; i < s.buckets.size(); ++i) {
      up_to += s.buckets[i];
      char bound[24] = "+Inf";
      if (i < bounds.size())
        std::snprintf(bound, sizeof bound, "%g", bounds[i]);
      out.sample(std::string{name} + "_bucket", {{"operation", operation}, {"le", bound}}, static_cast<double>(up_to));
    }
    out.sample(std::string{name} + "_sum", {{"operation", operation}}, s.seconds);
    out.sample(std::string{name} + "_count", {{"operation", operation}}, static_cast<double>(s.total));
  }
}

} // namespace troupe::http
