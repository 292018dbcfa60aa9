// Range, If-Range and If-None-Match, a line each, of a file of 1,000 bytes: what is sent lies in the file.
#include "common/check.hpp"
#include "http/server/byte_range.hpp"

#include <algorithm>
#include <array>

using namespace troupe::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::array<std::string_view, 3> lines;
  for (auto& line : lines) {
    line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
  }
  for (std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1'000}, UINT64_MAX}) {
    auto plan = plan_file(bytes, "abc", lines[0], lines[1], lines[2]);
    TROUPE_CHECK(plan.status == 200 || plan.status == 206 || plan.status == 304 || plan.status == 416);
    TROUPE_CHECK(plan.offset <= bytes && plan.length <= bytes - plan.offset);
    if (plan.status == 206)
      TROUPE_CHECK(plan.length > 0 && lines[0].starts_with("bytes"));
    if (plan.status == 200)
      TROUPE_CHECK(plan.offset == 0 && plan.length == bytes);
  }
  return 0;
}
