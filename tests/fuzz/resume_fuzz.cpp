// Where an event stream goes on: Last-Event-ID before the first line end, the query behind it. Only a whole decimal
// number is an id; what is none begins anew.
#include "common/check.hpp"
#include "http/resume.hpp"
#include "http/url.hpp"

#include <algorithm>

using namespace troupe::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto line = std::min(input.find('\n'), input.size());
  auto header = input.substr(0, line);
  request r;
  r.headers.emplace_back("last-event-id", std::string{header});
  if (auto query = parse_query(input.substr(std::min(line + 1, input.size()))))
    r.query = std::move(*query);
  auto asked = header.empty() ? r.query_value("last_event_id").value_or("") : std::string{header};
  auto after = resume_after(r);
  TROUPE_CHECK(after.has_value() == !asked.empty());
  bool digits = std::all_of(asked.begin(), asked.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (after && *after > 0) {
    auto plain = asked.substr(std::min(asked.find_first_not_of('0'), asked.size()));
    TROUPE_CHECK(digits && plain == std::to_string(*after));
  }
  return 0;
}
