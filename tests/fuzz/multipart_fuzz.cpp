// A form: the first line is the Content-Type, the rest the body. Its parts lie in the body, one after the other, and no
// part holds the delimiter.
#include "common/check.hpp"
#include "http/multipart.hpp"

using namespace troupe::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto line = std::min(input.find('\n'), input.size());
  auto type = input.substr(0, line);
  auto body = input.substr(std::min(line + 1, input.size()));
  constexpr std::size_t parts_max = 4;
  auto parts = read_multipart(type, body, parts_max);
  if (!parts) {
    TROUPE_CHECK(!parts.error().message.empty());
    return 0;
  }
  TROUPE_CHECK(is_multipart(type) && parts->size() <= parts_max);
  const char* last = body.data();
  for (const auto& part : *parts) {
    if (part.content.empty())
      continue;
    TROUPE_CHECK(part.content.data() >= last && part.content.data() + part.content.size() <= body.data() + body.size());
    last = part.content.data() + part.content.size();
    TROUPE_CHECK(std::string_view(last, 4) == "\r\n--");
  }
  return 0;
}
