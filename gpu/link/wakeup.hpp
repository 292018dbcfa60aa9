#pragma once

#include "common/result.hpp"

namespace troupe::link {

/// What any thread rings to wake the one that polls (an eventfd).
class wakeup {
public:
  wakeup();
  ~wakeup();
  wakeup(const wakeup&) = delete;
  wakeup& operator=(const wakeup&) = delete;

  int fd() const { return fd_; }
  void ring() const;
  /// Forgets rings so far; for the thread that polls.
  void clear() const;

private:
  int fd_;
};

} // namespace troupe::link
