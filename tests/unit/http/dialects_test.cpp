#include "http/dialects.hpp"

#include <gtest/gtest.h>

namespace troupe::http {
namespace {

TEST(families, follow_from_the_path_and_the_prefix_of_the_key) {
  struct row {
    const char *path, *authorization;
    family expected;
  };
  for (auto r : {row{"/api/generate", "", family::studio},
                 row{"/api/generate", "Bearer sp_live_x", family::studio},
                 row{"/v/slug", "", family::studio},
                 row{"/", "", family::studio},
                 row{"/nowhere", "Bearer sk_live_x", family::studio},
                 row{"/api/v10/x", "", family::studio},
                 row{"/v1x", "", family::studio},
                 row{"/api/health", "", family::unified},
                 row{"/api/v1/models", "", family::unified},
                 row{"/api/v1/models?x=1", "Bearer sp_live_x", family::unified},
                 row{"/api/v1/models", "Bearer sk_live_x", family::platform},
                 row{"/api/v1/models", "Bearer pk_x", family::unified},
                 row{"/api/v1/quotes", "Bearer sk_live_bad", family::platform},
                 row{"/api/v1/chat/completions", "", family::platform},
                 row{"/api/v1/chat/completions", "Bearer pk_x", family::platform},
                 row{"/api/v1/chat/completions", "Bearer sp_live_x", family::unified},
                 row{"/api/v1/images/generations", "", family::platform},
                 row{"/api/v1/nowhere", "", family::unified},
                 row{"/v1/chat/completions", "", family::openai},
                 row{"/v1/chat/completions", "Bearer sp_live_x", family::openai},
                 row{"/v1", "", family::openai}})
    EXPECT_EQ(family_of(r.path, r.authorization), r.expected) << r.path << ' ' << r.authorization;
}

const problem poor{
    402, "insufficient_credits", "Not enough credits", {{"cost", 14}, {"balance", 3}, {"upgrade_url", "/pricing"}}, {}};

TEST(studio_errors, are_a_text_and_their_context) {
  EXPECT_EQ(render(poor, family::studio),
            json::parse(R"({"error":"Not enough credits","cost":14,"balance":3,"upgrade_url":"/pricing"})"));
  EXPECT_EQ(render(unauthorized(), family::studio), json::parse(R"({"error":"Unauthorized"})"));
  EXPECT_EQ(render(forbidden(), family::studio), json::parse(R"({"error":"Forbidden"})"));
  EXPECT_EQ(render(not_found(), family::studio), json::parse(R"({"error":"Not found"})"));
}

TEST(unified_errors, have_a_code_of_the_closed_list) {
  EXPECT_EQ(render(poor, family::unified),
            json::parse(R"({"error":"Not enough credits","details":{"code":"INSUFFICIENT_BALANCE",
                            "details":{"cost":14,"balance":3,"upgrade_url":"/pricing"}}})"));
  struct row {
    int status;
    const char *code, *expected;
  };
  for (auto r :
       {row{404, "model_not_found", "MODEL_NOT_FOUND"}, row{400, "model_input_required", "MODEL_INPUT_REQUIRED"},
        row{400, "invalid_request", "INVALID_REQUEST"}, row{400, "malformed_json", "INVALID_REQUEST"},
        row{401, "unauthorized", "UNAUTHORIZED"}, row{403, "forbidden", "FORBIDDEN"},
        row{402, "spend_limit_exceeded", "API_KEY_SPEND_LIMIT_EXCEEDED"}, row{429, "rate_limited", "RATE_LIMITED"},
        row{404, "not_found", "NOT_FOUND"}, row{409, "conflict", "CONFLICT"},
        row{502, "upstream_failed", "UPSTREAM_REQUEST_FAILED"}, row{503, "unavailable", "OVERLOADED"},
        row{500, "internal", "INTERNAL"}, row{413, "body_too_large", "INVALID_REQUEST"},
        row{405, "method_not_allowed", "INVALID_REQUEST"}})
    EXPECT_EQ(render({r.status, r.code, "x", json::object(), {}}, family::unified)["details"]["code"], r.expected)
        << r.code;
}

TEST(platform_errors, have_a_type_that_is_their_code) {
  EXPECT_EQ(
      render({404, "model_not_found", "Model is not available", json::object(), {}}, family::platform),
      json::parse(
          R"({"error":{"message":"Model is not available","type":"model_not_available","code":"model_not_available"}})"));
  struct row {
    const char *code, *expected;
  };
  for (auto r : {row{"unauthorized", "invalid_api_key"}, row{"insufficient_credits", "insufficient_credits"},
                 row{"unavailable", "provider_not_configured"}, row{"upstream_failed", "provider_error"},
                 row{"messages_required", "messages_required"}, row{"prompt_required", "prompt_required"},
                 row{"model_input_required", "model_required"}})
    EXPECT_EQ(render({400, r.code, "x", json::object(), {}}, family::platform)["error"]["code"], r.expected) << r.code;
}

TEST(openai_errors, have_a_type_a_param_and_a_code) {
  EXPECT_EQ(render(invalid("temperature must be a number", "temperature"), family::openai),
            json::parse(R"({"error":{"message":"temperature must be a number","type":"invalid_request_error",
                            "param":"temperature","code":"invalid_request"}})"));
  auto no = render(unauthorized(), family::openai)["error"];
  EXPECT_EQ(no["type"], "authentication_error");
  EXPECT_EQ(no["code"], "invalid_api_key");
  EXPECT_TRUE(no["param"].is_null());
  EXPECT_EQ(render(poor, family::openai)["error"]["type"], "insufficient_quota");
  EXPECT_EQ(render(unavailable("x"), family::openai)["error"]["type"], "server_error");
}

TEST(error_schemas, require_what_the_errors_have) {
  for (auto f : {family::studio, family::unified, family::platform, family::openai}) {
    auto body = render(invalid("x", "y"), f);
    auto schema = error_schema(f);
    for (const auto& field : schema["required"])
      EXPECT_TRUE(body.contains(field.get<std::string>()));
  }
}

} // namespace
} // namespace troupe::http
