// Loaded into a process (LD_PRELOAD), this makes the time of day wrong there, and nothing else: by as many seconds as
// are written, as a 64-bit integer, in the file that WALL_CLOCK_SHIFT names. Who rewrites that file sets the clock
// under the running process. Built for tests/faults/clock_test.py.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace {

const volatile std::int64_t* map_shift() {
  static const std::int64_t none = 0;
  const char* name = std::getenv("WALL_CLOCK_SHIFT");
  auto fd = name == nullptr ? -1 : ::open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return &none;
  auto* at = ::mmap(nullptr, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  return at == MAP_FAILED ? &none : static_cast<const volatile std::int64_t*>(at);
}

std::int64_t shift_s() {
  static const auto* shift = map_shift();
  return *shift;
}

} // namespace

extern "C" {

int clock_gettime(clockid_t which, timespec* out) noexcept {
  static const auto real = reinterpret_cast<decltype(&clock_gettime)>(::dlsym(RTLD_NEXT, "clock_gettime"));
  auto status = real(which, out);
  if (status == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
    out->tv_sec += shift_s();
  return status;
}

int gettimeofday(timeval* __restrict out, void* __restrict) noexcept {
  timespec now{};
  auto status = clock_gettime(CLOCK_REALTIME, &now);
  *out = {now.tv_sec, now.tv_nsec / 1000};
  return status;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr)
    *out = now.tv_sec;
  return now.tv_sec;
}

} // extern "C"
