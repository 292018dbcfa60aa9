#include "common/brief_spin.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace troupe {
namespace {

using std::chrono::milliseconds;

/// How often it looked.
int looks(brief_spin& spin, int there_after = -1) {
  int count = 0;
  spin.look_for([&] { return count++ == there_after; });
  return count;
}

/// Tries again, as on a busy machine any wait may turn out long.
bool looks_after_short_waits(brief_spin& spin) {
  for (int i = 0; i < 100; ++i) {
    spin.begin();
    spin.found();
    if (looks(spin) > 0)
      return true;
  }
  return false;
}

TEST(BriefSpin, LooksOnlyAfterAWaitThatWasShort) {
  brief_spin spin;
  EXPECT_EQ(looks(spin), 0) << "nothing is known of the work yet";
  EXPECT_TRUE(looks_after_short_waits(spin));
  for (auto end = brief_spin::clock::now() + 2 * brief_spin::longest; brief_spin::clock::now() < end;)
    std::this_thread::yield();
  spin.found();
  EXPECT_EQ(looks(spin), 0) << "the last wait was long";
  EXPECT_TRUE(looks_after_short_waits(spin));
}

TEST(BriefSpin, EndsWhenThereIsWork) {
  brief_spin spin;
  for (int i = 0; i < 100; ++i) { // where the processor has other work to do it may end before
    spin.begin();
    spin.found();
    if (looks(spin, 3) == 4)
      return;
  }
  ADD_FAILURE() << "it never found what was there";
}

TEST(BriefSpin, EndsWhenThereIsNone) {
  brief_spin spin;
  spin.begin();
  spin.found();
  auto begin = brief_spin::clock::now();
  looks(spin);
  EXPECT_LT(brief_spin::clock::now() - begin, milliseconds(500)); // of a longest of 1, on a machine that is busy
}

} // namespace
} // namespace troupe
