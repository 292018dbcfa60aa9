#pragma once

#include <chrono>
#include <thread>

namespace troupe {

/// For a thread that waits for work from other threads: whether, and how long, it looks again before it sleeps. To wake
/// a thread costs tens of microseconds where its processor has gone to sleep too, which in a virtual machine means the
/// host's. It looks again only when the wait before was short, so a program that has nothing to do does not spin, and
/// only while the processor has nothing else to run, so nobody waits for it. Of one thread.
class brief_spin {
public:
  using clock = std::chrono::steady_clock;
  static constexpr auto longest = std::chrono::microseconds(1000);

  /// Looks for work, of which there is none now, until `is_there()` is true or it is time to sleep. Calls begin().
  template <class IsThere>
  void look_for(IsThere is_there) {
    constexpr auto alone = std::chrono::microseconds(20); // a yield to nobody takes less
    begin();
    if (!worth_)
      return;
    for (auto now = began_; now - began_ < longest && !is_there();) {
      std::this_thread::yield();
      auto after = clock::now();
      if (after - now > alone)
        return;
      now = after;
    }
  }
  /// The wait begins; for a wait in which nobody looks.
  void begin() { began_ = clock::now(); }
  /// The wait is over: there is work, however that was noticed.
  void found() { worth_ = clock::now() - began_ < longest; }

private:
  clock::time_point began_{};
  bool worth_ = false; // the last wait was short
};

} // namespace troupe
