#include "http/authentication.hpp"

#include "common/text.hpp"

#include <algorithm>

namespace troupe::http {

namespace {

constexpr std::size_t token_bytes_max = 256;

bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= token_bytes_max && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view{"._~+/=-"}.find(c) != std::string_view::npos;
  });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

} // namespace

std::string_view cookie(const request& r, std::string_view name) {
  for (const auto& [header, value] : r.headers) {
    if (header != "cookie")
      continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      auto end = std::min(rest.find(';'), rest.size());
      auto pair = trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
        return pair.substr(name.size() + 1);
    }
  }
  return {};
}

credentials credentials_of(const request& r) {
  credentials out;
  auto authorization = r.header("authorization");
  if (!authorization.empty()) {
    auto space = std::min(authorization.find(' '), authorization.size());
    auto token = trim(authorization.substr(space));
    if (same_text(authorization.substr(0, space), "bearer") && is_token(token))
      out.key = token;
    else
      out.malformed = true;
    return out;
  }
  if (auto session = cookie(r, session_cookie); is_token(session))
    out.session = session;
  return out;
}

bool origin_allowed(const request& r, const std::vector<std::string>& own_origins) {
  bool changes = r.method != verb::get && r.method != verb::head && r.method != verb::options;
  if (!changes || !r.header("authorization").empty() || cookie(r, session_cookie).empty())
    return true;
  auto origin = r.header("origin");
  if (std::any_of(own_origins.begin(), own_origins.end(), [&](const auto& own) { return same_text(own, origin); }))
    return true;
  auto scheme = std::string_view{r.secure ? "https://" : "http://"};
  auto host = r.header("host");
  return !host.empty() && origin.starts_with(scheme) && same_text(origin.substr(scheme.size()), host);
}

} // namespace troupe::http
