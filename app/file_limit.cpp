#include "app/file_limit.hpp"

#include <sys/resource.h>

namespace troupe::app {

void raise_file_limit() {
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur >= now.rlim_max)
    return;
  now.rlim_cur = now.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &now);
}

} // namespace troupe::app
