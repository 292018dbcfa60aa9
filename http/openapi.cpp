#include "http/openapi.hpp"

#include <algorithm>

namespace troupe::http {

namespace {

std::string verb_key(verb v) {
  switch (v) {
    case verb::post: return "post";
    case verb::put: return "put";
    case verb::patch: return "patch";
    case verb::del: return "delete";
    default: return "get";
  }
}

std::string error_name(family f) { return std::string{to_string(f)} + "_error"; }
json reference(const std::string& schema_name) { return {{"$ref", "#/components/schemas/" + schema_name}}; }

// "{model*}" is "{model}" to OpenAPI, which has no word for the rest of a path.
std::string documented_path(std::string path) {
  path.erase(std::remove(path.begin(), path.end(), '*'), path.end());
  return path;
}

bool may_come_once(const endpoint& e) { return e.method == verb::post && e.needs != access::anyone; }

json parameters_of(const endpoint& e) {
  json out = json::array();
  auto path = documented_path(e.path);
  for (auto at = path.find('{'); at != path.npos; at = path.find('{', at + 1)) {
    auto name = path.substr(at + 1, path.find('}', at) - at - 1);
    out.push_back({{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
  }
  auto required = e.query_schema.value("required", json::array());
  for (const auto& [name, described] : e.query_schema.at("properties").items()) {
    json parameter{{"name", name}, {"in", "query"}, {"schema", described}};
    parameter["required"] = std::find(required.begin(), required.end(), name) != required.end();
    out.push_back(std::move(parameter));
  }
  if (may_come_once(e))
    out.push_back({{"name", "Idempotency-Key"},
                   {"in", "header"},
                   {"required", false},
                   {"schema", {{"type", "string"}, {"maxLength", 255}}},
                   {"description", "The same key and body within 24 hours give the first answer again, charged once"}});
  return out;
}

json responses_of(const endpoint& e) {
  json out = json::object();
  json success{{"description", e.success == 204 ? "Done" : "Success"}};
  if (e.success != 204) {
    json content = json::object();
    if (e.produces == "application/json")
      content["schema"] = e.reply_schema.is_null() ? json{{"type", "object"}} : reference(e.operation + "_reply");
    success["content"][e.produces] = std::move(content);
  }
  out[std::to_string(e.success)] = std::move(success);
  auto error = [&](int status, const char* text) {
    out[std::to_string(status)] = {{"description", text},
                                   {"content", {{"application/json", {{"schema", reference(error_name(e.family))}}}}}};
  };
  if (e.has_body || !e.query_schema.at("properties").empty() || e.path.find('{') != e.path.npos)
    error(400, "Malformed, or a field is wrong: the message names it");
  if (e.needs != access::anyone)
    error(401, "No valid key or session");
  if (e.needs == access::admin)
    error(403, "Not an admin");
  if (e.rate == rate_class::spend)
    error(402, "Not enough credits");
  if (e.path.find('{') != e.path.npos)
    error(404, "Not there, or not yours");
  if (may_come_once(e))
    error(409, "The Idempotency-Key was used with another body");
  if (e.has_body) {
    error(413, "The body is too large");
    if (!e.raw)
      error(415, "The body is not JSON");
  }
  if (e.rate != rate_class::none)
    error(429, "Too many requests; Retry-After says when to come back");
  return out;
}

json operation_of(const endpoint& e) {
  json out{{"operationId", e.operation}, {"summary", e.summary}, {"responses", responses_of(e)}};
  if (!e.description.empty())
    out["description"] = e.description;
  out["tags"] = e.tags.empty() ? json{std::string{to_string(e.family)}} : json(e.tags);
  if (auto parameters = parameters_of(e); !parameters.empty())
    out["parameters"] = std::move(parameters);
  if (e.raw)
    out["requestBody"] = {
        {"required", true},
        {"content", {{"application/octet-stream", {{"schema", {{"type", "string"}, {"format", "binary"}}}}}}}};
  else if (e.has_body)
    out["requestBody"] = {{"required", true},
                          {"content", {{"application/json", {{"schema", reference(e.operation + "_body")}}}}}};
  if (e.needs != access::anyone)
    out["x-key-scope"] = scope_of(e);
  if (e.needs == access::anyone)
    out["security"] = json::array();
  else
    out["security"] = json::array({{{"key", json::array()}}, {{"session", json::array()}}});
  return out;
}

} // namespace

json openapi(const std::vector<endpoint>& all, const api_title& about) {
  json paths = json::object(), schemas = json::object();
  for (const auto& e : all) {
    schemas[error_name(e.family)] = error_schema(e.family);
    if (e.has_body && !e.raw)
      schemas[e.operation + "_body"] = e.body_schema;
    if (!e.reply_schema.is_null())
      schemas[e.operation + "_reply"] = e.reply_schema;
    auto& there = paths[documented_path(e.path)][verb_key(e.method)];
    if (there.is_null()) {
      there = operation_of(e);
    } else {
      auto text = there.value("description", std::string{});
      there["description"] = text + (text.empty() ? "" : "\n\n") + "Also answers as `" + e.operation + "` of the " +
                             std::string{to_string(e.family)} + " family, by the prefix of the key.";
    }
  }
  json security{
      {"key", {{"type", "http"}, {"scheme", "bearer"}, {"description", "An API key"}}},
      {"session",
       {{"type", "apiKey"}, {"in", "cookie"}, {"name", "troupe_session"}, {"description", "The session of a login"}}}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", about.title}, {"version", about.version}, {"description", about.description}}},
          {"servers", json::array({{{"url", "/"}}})},
          {"paths", std::move(paths)},
          {"components", {{"schemas", std::move(schemas)}, {"securitySchemes", std::move(security)}}}};
}

} // namespace troupe::http
