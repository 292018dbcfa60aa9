# Headers that nearly every file of ours needs, compiled once: a third of all compile time without it.
set(troupe_common_words <nlohmann/json.hpp> <functional> <map> <memory> <optional> <string> <variant> <vector>)

# troupe_module(NAME SOURCES … [DEPS …] [PRIVATE …] [PCH …]): a static library `troupe_NAME`, one to a module. PCH: headers
# of its own to precompile, beside those of troupe_common.
function(troupe_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE;PCH" ${ARGN})
  add_library(troupe_${name} STATIC ${arg_SOURCES})
  target_include_directories(troupe_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(troupe_${name} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE})
  if(arg_PCH OR name STREQUAL "common")
    target_precompile_headers(troupe_${name} PRIVATE ${arg_PCH} ${troupe_common_words})
  elseif(NOT name MATCHES "^engine|^media|^http_server")
    target_precompile_headers(troupe_${name} REUSE_FROM troupe_common)
  endif()
endfunction()

# troupe_false_alarms(TARGET): g++ 12 warns of things that are not so when it optimises string concatenation and coroutine
# frames (GCC bugs 105651, 105329, 109740). For targets where it does.
function(troupe_false_alarms target)
  target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
    -Wno-mismatched-new-delete)
endfunction()

# troupe_test(NAME SOURCES … DEPS … [LABELS …] [TIMEOUT seconds]): a gtest program; ctest runs it as one test.
function(troupe_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * ${TROUPE_TEST_PATIENCE}")
  if(NOT TARGET troupe_test_words)
    add_executable(troupe_test_words EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/unit/main.cpp)
    target_link_libraries(troupe_test_words PRIVATE troupe_common GTest::gmock GTest::gtest)
    target_precompile_headers(troupe_test_words PRIVATE <gtest/gtest.h> ${troupe_common_words})
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_precompile_headers(${name} REUSE_FROM troupe_test_words)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}"
                       ENVIRONMENT "${TROUPE_TEST_ENVIRONMENT}")
endfunction()
