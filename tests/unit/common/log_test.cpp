#include "common/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace troupe {
namespace {

// Goal: nobody whose words are logged writes a line of their own, or drives the terminal that shows it.
// Method: what reaches stderr when such words are logged.
TEST(log, is_one_line_an_event_whatever_was_said) {
  auto before = log::default_logger();
  testing::internal::CaptureStderr();
  start_log("head", "info");
  log::warn("closed: {}", "x\n2026-11-23T00:00:00.000Z C head: forged\r\t\x1b[2J\x7f\xc2\x9b"
                          "\xc2\x80 \xc2\xa0é\xc2");
  log::default_logger()->flush();
  auto written = testing::internal::GetCapturedStderr();
  log::set_default_logger(before);
  EXPECT_THAT(written, testing::EndsWith("Z W head: closed: x?2026-11-23T00:00:00.000Z C head: forged???[2J??"
                                         "? \xc2\xa0é\xc2\n"));
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 1) << written;
}

} // namespace
} // namespace troupe
