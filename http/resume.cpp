#include "http/resume.hpp"

#include <charconv>

namespace troupe::http {

std::optional<std::uint64_t> resume_after(const request& r) {
  auto text = std::string{r.header("last-event-id")};
  if (text.empty())
    text = r.query_value("last_event_id").value_or("");
  if (text.empty())
    return std::nullopt;
  std::uint64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole ? out : 0;
}

} // namespace troupe::http
