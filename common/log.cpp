#include "common/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>

namespace troupe {

void start_log(const std::string& process, const std::string& level) {
  auto logger = spdlog::stderr_logger_mt(process);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %n: %v", spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::warn);
}

} // namespace troupe
