#pragma once

#include <cstdio>
#include <cstdlib>

/// Stops the process when the code is wrong. It stays on in release builds: a wrong balance written to disk costs more
/// than a restart. Bad input and failing machines are not bugs; they are errors and come back as values.
#define TROUPE_CHECK(condition)                                                                                        \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);                               \
      std::abort();                                                                                                    \
    }                                                                                                                  \
  } while (false)
