#include "gpu/link/wakeup.hpp"

#include "common/check.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace troupe::link {

wakeup::wakeup() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { TROUPE_CHECK(fd_ >= 0); }
wakeup::~wakeup() { ::close(fd_); }

void wakeup::ring() const {
  std::uint64_t one = 1;
  [[maybe_unused]] auto written = ::write(fd_, &one, sizeof one); // a full counter rings as well
}

void wakeup::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] auto got = ::read(fd_, &count, sizeof count);
}

} // namespace troupe::link
