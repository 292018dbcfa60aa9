#include "common/clock.hpp"

#include <cstdio>
#include <ctime>

namespace troupe {

namespace {

std::tm utc(timestamp at) {
  auto seconds = static_cast<std::time_t>(at / 1000);
  std::tm out{};
  gmtime_r(&seconds, &out);
  return out;
}

} // namespace

std::string studio_time(timestamp at) {
  auto t = utc(at);
  char out[64];
  std::strftime(out, sizeof out, "%Y-%m-%d %H:%M:%S", &t);
  return out;
}

std::string rfc3339(timestamp at) {
  auto t = utc(at);
  char day[64];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &t);
  char out[80];
  std::snprintf(out, sizeof out, "%s.%03dZ", day, static_cast<int>(at % 1000));
  return out;
}

std::string month_of(timestamp at) {
  auto t = utc(at);
  char out[16];
  std::strftime(out, sizeof out, "%Y-%m", &t);
  return out;
}

} // namespace troupe
