#include "http/dialects.hpp"

#include <algorithm>
#include <array>

namespace troupe::http {

namespace {

bool starts_with_path(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// One row per generic code whose family words are not the code itself. Empty: the rule below the table decides.
struct code_words {
  std::string_view code, unified, platform, openai;
};
constexpr std::array words{
    code_words{"unauthorized", "UNAUTHORIZED", "invalid_api_key", "invalid_api_key"},
    code_words{"insufficient_credits", "INSUFFICIENT_BALANCE", "insufficient_credits", "insufficient_quota"},
    code_words{"spend_limit_exceeded", "API_KEY_SPEND_LIMIT_EXCEEDED", "insufficient_credits", "insufficient_quota"},
    code_words{"model_not_found", "MODEL_NOT_FOUND", "model_not_available", "model_not_found"},
    code_words{"model_input_required", "MODEL_INPUT_REQUIRED", "model_required", "missing_required_parameter"},
    code_words{"rate_limited", "RATE_LIMITED", "rate_limited", "rate_limit_exceeded"},
    code_words{"upstream_failed", "UPSTREAM_REQUEST_FAILED", "provider_error", "upstream_error"},
    code_words{"unavailable", "OVERLOADED", "provider_not_configured", "overloaded"},
    code_words{"internal", "INTERNAL", "internal_error", "internal_error"},
};

// The unified codes are a closed list; a code of ours outside it answers with the one of its status.
std::string_view unified_by_status(int status) {
  switch (status) {
    case 401: return "UNAUTHORIZED";
    case 402: return "INSUFFICIENT_BALANCE";
    case 403: return "FORBIDDEN";
    case 404: return "NOT_FOUND";
    case 409: return "CONFLICT";
    case 429: return "RATE_LIMITED";
    case 502: return "UPSTREAM_REQUEST_FAILED";
    case 503: return "OVERLOADED";
    default: return status >= 500 ? "INTERNAL" : "INVALID_REQUEST";
  }
}

// OpenAI's `type` groups errors by what a caller can do about them.
std::string_view openai_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 402: return "insufficient_quota";
    case 403: return "permission_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

const code_words* find_words(std::string_view code) {
  auto found = std::find_if(words.begin(), words.end(), [&](const auto& row) { return row.code == code; });
  return found == words.end() ? nullptr : &*found;
}

json render_studio(const problem& why) {
  json out = why.context.is_object() ? why.context : json::object();
  out["error"] = why.message;
  return out;
}

json render_unified(const problem& why) {
  auto row = find_words(why.code);
  auto code = row ? row->unified : unified_by_status(why.status);
  json details = why.context.is_object() ? why.context : json::object();
  if (!why.param.empty())
    details["field"] = why.param;
  return {{"error", why.message}, {"details", {{"code", code}, {"details", std::move(details)}}}};
}

json render_platform(const problem& why) {
  auto row = find_words(why.code);
  auto code = row ? std::string{row->platform} : why.code;
  json error{{"message", why.message}, {"type", code}, {"code", code}};
  if (!why.param.empty())
    error["param"] = why.param;
  return {{"error", std::move(error)}};
}

json render_openai(const problem& why) {
  auto row = find_words(why.code);
  json error{{"message", why.message},
             {"type", openai_type(why.status)},
             {"param", nullptr},
             {"code", row ? std::string{row->openai} : why.code}};
  if (!why.param.empty())
    error["param"] = why.param;
  return {{"error", std::move(error)}};
}

} // namespace

std::string_view to_string(family f) {
  switch (f) {
    case family::unified: return "unified";
    case family::platform: return "platform";
    case family::openai: return "openai";
    case family::studio: break;
  }
  return "studio";
}

family family_of(std::string_view path, std::string_view authorization) {
  path = path.substr(0, path.find('?'));
  if (starts_with_path(path, "/v1"))
    return family::openai;
  if (path == "/api/health" || path == "/api/health/")
    return family::unified;
  if (!starts_with_path(path, "/api/v1"))
    return family::studio;
  auto space = authorization.find(' ');
  auto key = space == std::string_view::npos ? std::string_view{} : authorization.substr(space + 1);
  key = key.substr(std::min(key.find_first_not_of(' '), key.size()));
  if (key.starts_with("sp_live_"))
    return family::unified;
  if (key.starts_with("sk_live_"))
    return family::platform;
  bool platform =
      starts_with_path(path, "/api/v1/chat/completions") || starts_with_path(path, "/api/v1/images/generations");
  return platform ? family::platform : family::unified;
}

json render(const problem& why, family speaks) {
  switch (speaks) {
    case family::unified: return render_unified(why);
    case family::platform: return render_platform(why);
    case family::openai: return render_openai(why);
    case family::studio: break;
  }
  return render_studio(why);
}

json error_schema(family speaks) {
  json text{{"type", "string"}};
  auto object = [](json properties, json required) {
    return json{{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
  };
  switch (speaks) {
    case family::unified: {
      auto details = object({{"code", text}, {"details", {{"type", "object"}}}}, {"code", "details"});
      return object({{"error", text}, {"details", details}}, {"error", "details"});
    }
    case family::platform: {
      auto error = object({{"message", text}, {"type", text}, {"code", text}}, {"message", "type", "code"});
      return object({{"error", error}}, {"error"});
    }
    case family::openai: {
      json nullable{{"type", {"string", "null"}}};
      auto error = object({{"message", text}, {"type", text}, {"param", nullable}, {"code", nullable}},
                          {"message", "type", "param", "code"});
      return object({{"error", error}}, {"error"});
    }
    case family::studio: break;
  }
  return object({{"error", text}}, {"error"});
}

problem unauthorized() { return {401, "unauthorized", "Unauthorized", json::object(), {}}; }
problem forbidden(std::string message) { return {403, "forbidden", std::move(message), json::object(), {}}; }
problem not_found(std::string message) { return {404, "not_found", std::move(message), json::object(), {}}; }
problem unavailable(std::string message) { return {503, "unavailable", std::move(message), json::object(), {}}; }

problem invalid(std::string message, std::string param) {
  return {400, "invalid_request", std::move(message), json::object(), std::move(param)};
}

} // namespace troupe::http
