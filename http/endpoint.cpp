#include "http/endpoint.hpp"

#include "common/text.hpp"

#include <algorithm>

namespace troupe::http {

std::string_view scope_of(const declaration& about) {
  switch (about.key_scope) {
    case scope::read: return "read";
    case scope::generate: return "generate";
    case scope::account: return "account";
    case scope::admin: return "admin";
    case scope::by_method: break;
  }
  if (about.needs == access::admin)
    return "admin";
  return about.method == verb::get ? "read" : "generate";
}

namespace {

// No content type is taken for JSON, as the parser then decides; any other is not looked at.
bool says_json(std::string_view content_type) {
  auto type = lower(content_type);
  auto charset = type.find("charset=");
  if (charset != type.npos) {
    auto value = type.substr(charset + 8);
    value.erase(std::remove(value.begin(), value.end(), '"'), value.end());
    if (!value.starts_with("utf-8") && !value.starts_with("us-ascii"))
      return false;
  }
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ')
    type.pop_back();
  return type.empty() || type == "application/json" || type == "text/json" || type.ends_with("+json");
}

} // namespace

problem problem_of(const std::vector<fault>& faults) {
  auto out = invalid(faults.front().message, faults.front().field);
  if (faults.size() > 1)
    for (const auto& f : faults)
      out.context["errors"].push_back(f.message);
  return out;
}

std::optional<problem> read_json(const request& r, json& out) {
  if (!says_json(r.header("content-type")))
    return problem{415, "unsupported_media_type", "The body must be application/json in UTF-8", json::object(), {}};
  if (r.body.empty()) { // the required fields then say what is missing
    out = json::object();
    return std::nullopt;
  }
  auto parsed = parse_json(r.body, {32, r.body.size()});
  if (!parsed)
    return problem{400, parsed.error().code, parsed.error().message, json::object(), {}};
  if (!parsed->is_object())
    return invalid("The body must be a JSON object");
  out = std::move(*parsed);
  return std::nullopt;
}

std::vector<endpoint_row> endpoint_table(const std::vector<endpoint>& all) {
  std::vector<endpoint_row> out;
  for (const auto& e : all) {
    const char* needs = e.needs == access::anyone ? "anyone" : e.needs == access::account ? "account" : "admin";
    out.push_back({std::string{to_string(e.family)}, std::string{to_string(e.method)}, e.path, e.operation, needs});
  }
  return out;
}

} // namespace troupe::http
