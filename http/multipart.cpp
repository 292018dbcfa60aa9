#include "http/multipart.hpp"

#include "common/text.hpp"

#include <algorithm>

namespace troupe::http {

namespace {

constexpr std::size_t boundary_max = 70, headers_max = 4'096;

/// The value of `name` in "kind; a=b; name=\"value\"".
std::string parameter(std::string_view header, std::string_view name) {
  for (auto at = header.find(';'); at != std::string_view::npos; at = header.find(';', at)) {
    ++at;
    while (at < header.size() && header[at] == ' ')
      ++at;
    auto equals = header.find('=', at);
    if (equals == std::string_view::npos)
      return {};
    auto found = lower(header.substr(at, equals - at)) == name;
    std::string value;
    at = equals + 1;
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        if (header[at] == '\\' && at + 1 < header.size())
          ++at;
        value += header[at];
      }
    } else {
      while (at < header.size() && header[at] != ';' && header[at] != ' ')
        value += header[at++];
    }
    if (found)
      return value;
  }
  return {};
}

std::string disposition_of(std::string_view headers) {
  while (!headers.empty()) {
    auto end = std::min(headers.find("\r\n"), headers.size());
    auto line = headers.substr(0, end);
    headers.remove_prefix(std::min(end + 2, headers.size()));
    auto colon = line.find(':');
    if (colon != std::string_view::npos && lower(line.substr(0, colon)) == "content-disposition")
      return std::string{line.substr(colon + 1)};
  }
  return {};
}

failure broken() { return fail("malformed", "The form is not valid multipart/form-data"); }

} // namespace

bool is_multipart(std::string_view content_type) { return lower(content_type.substr(0, 19)) == "multipart/form-data"; }

result<std::vector<form_part>> read_multipart(std::string_view content_type, std::string_view body,
                                              std::size_t parts_max) {
  auto boundary = parameter(content_type, "boundary");
  if (!is_multipart(content_type) || boundary.empty() || boundary.size() > boundary_max)
    return broken();
  const auto delimiter = "\r\n--" + boundary;
  std::vector<form_part> out;
  // The first delimiter has no line before it when there is no preamble.
  auto at = body.starts_with(std::string_view{delimiter}.substr(2)) ? delimiter.size() - 2 : body.find(delimiter);
  if (at == std::string_view::npos)
    return broken();
  if (!body.starts_with(std::string_view{delimiter}.substr(2)))
    at += delimiter.size();
  while (!body.substr(at).starts_with("--")) {
    if (out.size() >= parts_max)
      return fail("malformed", "The form has too many parts");
    if (!body.substr(at).starts_with("\r\n"))
      return broken();
    auto head = at + 2;
    auto blank = body.substr(head).starts_with("\r\n") ? head - 2 : body.find("\r\n\r\n", head);
    if (blank == std::string_view::npos || blank - at > headers_max)
      return broken();
    auto content = blank + 4;
    auto end = body.find(delimiter, content - 2); // an empty part has no line of its own
    if (end == std::string_view::npos)
      return broken();
    auto disposition = disposition_of(body.substr(head, blank < head ? 0 : blank - head));
    out.push_back({parameter(disposition, "name"), parameter(disposition, "filename"),
                   end < content ? std::string_view{} : body.substr(content, end - content)});
    at = end + delimiter.size();
  }
  return out;
}

} // namespace troupe::http
