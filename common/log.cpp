#include "common/log.hpp"

#include "common/text.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

namespace troupe {

namespace {

/// What was said, on one line: a node may have chosen the words, and is not to write lines of its own.
class one_line final : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg& event, const std::tm&, spdlog::memory_buf_t& out) override {
    auto words = without_controls({event.payload.data(), event.payload.size()});
    out.append(words.data(), words.data() + words.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<one_line>(); }
};

} // namespace

void start_log(const std::string& process, const std::string& level) {
  auto lines = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  lines->add_flag<one_line>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %n: %*");
  auto logger = spdlog::stderr_logger_mt(process);
  logger->set_formatter(std::move(lines));
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::warn);
}

} // namespace troupe
