# How everything of ours is compiled.
option(TROUPE_TESTS "Build the tests" ON)
set(TROUPE_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (address,undefined or thread)")
include(TroupePrefix)
set(TROUPE_PREFIX ${troupe_default_prefix} CACHE PATH "Where scripts/deps installed CAF, ONNX Runtime and the models")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(troupe_ccache ccache)
if(troupe_ccache)
  # Relative paths, so that two checkouts of the same commit share what was compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${troupe_ccache})
endif()
find_program(troupe_mold mold)
if(troupe_mold)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fno-omit-frame-pointer)
# Line numbers for a backtrace are enough, and a third faster to compile than all of -g.
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g1")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
add_compile_options(-fpch-preprocess) # so that ccache sees through precompiled headers
# g++ 12 reports these from inside inlined standard headers, where there is nothing to mend (GCC bugs 105562, 105329).
add_compile_options(-Wno-maybe-uninitialized -Wno-restrict)
set(TROUPE_TEST_PATIENCE 1) # how many times as long as planned a test may take
if(TROUPE_SANITIZE)
  set(TROUPE_TEST_PATIENCE 5)
  set(TROUPE_TEST_ENVIRONMENT "TROUPE_PATIENCE=${TROUPE_TEST_PATIENCE}")
  add_compile_options(-fsanitize=${TROUPE_SANITIZE})
  add_link_options(-fsanitize=${TROUPE_SANITIZE})
  if(TROUPE_SANITIZE MATCHES undefined)
    list(APPEND TROUPE_TEST_ENVIRONMENT "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1")
  endif()
  if(TROUPE_SANITIZE MATCHES thread)
    add_compile_options(-Wno-tsan) # Asio's fences, which it does not follow; Asio's locks, which it does, are enough
    # Without these each suppressed race is looked up in a list of all addresses that ever had one, and some are reported
    # as their other side is forgotten.
    set(sanitizer_options "suppressions=${PROJECT_SOURCE_DIR}/tests/sanitizers/tsan.supp:suppress_equal_addresses=0:history_size=7")
    list(APPEND TROUPE_TEST_ENVIRONMENT "TSAN_OPTIONS=${sanitizer_options}")
  endif()
endif()
