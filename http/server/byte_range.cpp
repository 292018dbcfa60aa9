#include "http/server/byte_range.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace troupe::http {

namespace {

std::string_view trim(std::string_view text) {
  auto from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos)
    return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

bool lists_tag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    auto comma = std::min(header.find(','), header.size());
    auto one = trim(header.substr(0, comma));
    header.remove_prefix(std::min(comma + 1, header.size()));
    if (one == "*")
      return true;
    if (one.starts_with("W/"))
      one.remove_prefix(2);
    if (one.size() == etag.size() + 2 && one.front() == '"' && one.back() == '"' && one.substr(1, etag.size()) == etag)
      return true;
  }
  return false;
}

} // namespace

file_plan plan_file(std::uint64_t size, std::string_view etag, std::string_view range, std::string_view if_range,
                    std::string_view if_none_match) {
  file_plan whole{200, 0, size};
  if (!etag.empty() && lists_tag(if_none_match, etag))
    return {304, 0, 0};
  if (!range.starts_with("bytes=") || range.find(',') != std::string_view::npos)
    return whole;
  // If-Range compares strongly; a date never matches, as no Last-Modified is ever sent.
  if (!if_range.empty() && (etag.empty() || if_range.starts_with("W/") || !lists_tag(if_range, etag)))
    return whole;
  auto spec = trim(range.substr(6));
  auto dash = spec.find('-');
  if (dash == std::string_view::npos)
    return whole;
  auto first = number(trim(spec.substr(0, dash))), last = number(trim(spec.substr(dash + 1)));
  bool from_start = dash > 0, to_end = dash + 1 == spec.size();
  if ((from_start && !first) || (!to_end && !last) || (!from_start && to_end) || (first && last && *first > *last))
    return whole;
  if (!from_start) { // the last so many bytes
    auto length = std::min(*last, size);
    return length == 0 ? file_plan{416, 0, 0} : file_plan{206, size - length, length};
  }
  if (*first >= size)
    return {416, 0, 0};
  auto end = last ? std::min(*last, size - 1) : size - 1;
  return {206, *first, end - *first + 1};
}

} // namespace troupe::http
