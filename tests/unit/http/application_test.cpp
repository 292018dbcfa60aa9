#include "http/application.hpp"

#include "http/pages/pages.hpp"
#include "http/server/server.hpp"
#include "tests/support/http_client.hpp"
#include "tests/unit/http/example_endpoint.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace troupe::http {
namespace {

using testing::http_client;

/// Knows "pk_ada", "sp_live_ada", "sk_live_ada", the admin's "pk_root", the session "s1" of ada, and "pk_read",
/// "pk_generate" and so on: the admin's keys with one scope.
struct few_people : authenticator {
  asio::awaitable<result<std::optional<identity>>> authenticate(const request& r) override {
    auto shown = credentials_of(r);
    std::optional<identity> who;
    if (shown.key == "pk_root")
      who = identity{"a0", "root", true, "studio", "k0", {}, {}};
    else if (shown.key.ends_with("_ada"))
      who = identity{"a1", "ada", false, "free", shown.key, {}, {}};
    else if (shown.session == "s1")
      who = identity{"a1", "ada", false, "free", {}, "s1", {}};
    else if (std::set<std::string>{"pk_read", "pk_generate", "pk_account", "pk_admin"}.contains(shown.key)) {
      who = identity{"a0", "root", true, "studio", shown.key, {}, {}};
      who->scopes = {shown.key.substr(3)};
      who->admin = who->may("admin");
    } else if (shown.key == "pk_off")
      co_return fail("forbidden", "API access is disabled");
    else if (shown.key == "pk_down")
      co_return fail("unavailable", "internal words");
    co_return who;
  }
};

struct one_notebook : notebook {
  asio::awaitable<std::optional<std::string>> add(std::string account, std::string name, std::string) override {
    if (account != "a1" || name != "diary one")
      co_return std::nullopt;
    co_return "n" + std::to_string(++notes);
  }
  int notes = 0;
};

endpoint simple(verb method, std::string path, std::string operation, family f = family::studio,
                access needs = access::anyone, rate_class rate = rate_class::none) {
  declaration about;
  about.method = method;
  about.path = std::move(path);
  about.operation = operation;
  about.family = f;
  about.needs = needs;
  about.rate = rate;
  return declare(std::move(about), [operation](const request& r, nothing, nothing) -> asio::awaitable<reply> {
    json out{{"operation", operation}, {"who", r.who ? r.who->username : ""}};
    for (const auto& [k, v] : r.path_params)
      out["params"][k] = v;
    co_return reply::of(std::move(out));
  });
}

/// First answers in memory, as if the disk had them.
struct answers_in_memory : answer_book {
  std::string row_of(const std::string& account, std::string_view key) const override {
    return account + "/" + std::string{key};
  }
  std::string fingerprint_of(const request& r) const override { return r.target + r.body; }
  std::optional<first_request> find(const std::string& account, std::string_view key, timestamp) override {
    auto found = kept.find(row_of(account, key));
    return found == kept.end() ? std::nullopt : std::optional<first_request>(found->second);
  }
  asio::awaitable<bool> keep(const std::string& account, std::string_view key, const std::string& fingerprint,
                             const reply& answer, timestamp) override {
    kept[row_of(account, key)] = {fingerprint, {}, answer};
    co_return true;
  }
  std::map<std::string, first_request> kept;
};

class an_application : public ::testing::Test {
protected:
  void SetUp() override {
    auto all = note_endpoints(notes);
    all.push_back(simple(verb::get, "/api/keys", "keys"));
    all.push_back(simple(verb::post, "/api/keys", "key_create", family::studio, access::account));
    all.push_back(simple(verb::get, "/api/keys/special", "special"));
    all.push_back(simple(verb::get, "/api/keys/{id}", "key"));
    all.push_back(simple(verb::del, "/api/keys/{id}", "key_delete"));
    all.push_back(simple(verb::get, "/v1/models/{model*}", "model", family::openai));
    all.push_back(simple(verb::get, "/api/v1/models", "models_unified", family::unified));
    all.push_back(simple(verb::get, "/api/v1/models", "models_platform", family::platform));
    all.push_back(simple(verb::get, "/v1/mine", "mine", family::openai, access::account));
    all.push_back(simple(verb::get, "/api/admin/actors", "actors", family::studio, access::admin));
    all.push_back(simple(verb::post, "/api/login", "login", family::studio, access::anyone, rate_class::login));
    declaration cookie;
    cookie.method = verb::get;
    cookie.path = "/api/cookie";
    cookie.operation = "cookie";
    cookie.needs = access::anyone;
    all.push_back(declare(std::move(cookie), [](const request&, nothing, nothing) -> asio::awaitable<reply> {
      co_return reply::of(json::object()).with("set-cookie", "a=b; HttpOnly");
    }));
    pages_options pages;
    pages.sources = &sources;
    pages.ready = {{"storage", [this] { return storage_says; }}};
    pages.docs_folder = docs;
    options.answers = &answers;
    declaration doors;
    doors.path = "/api/doors";
    doors.operation = "doors";
    doors.key_scope = scope::account;
    all.push_back(declare(std::move(doors), [](const request&, nothing, nothing) -> asio::awaitable<reply> {
      co_return reply::of(json::object());
    }));
    declaration work;
    work.method = verb::post;
    work.path = "/v1/work";
    work.operation = "work";
    work.family = family::openai;
    work.needs = access::account;
    all.push_back(declare(std::move(work), [this](const request& r, nothing, nothing) -> asio::awaitable<reply> {
      json out{{"work", ++worked}, {"job", r.only_once ? r.only_once->made : "no key"}};
      auto answer = reply::of(std::move(out), r.query_value("status") ? std::stoi(*r.query_value("status")) : 200);
      answer.final = answer.status != 202;
      co_return answer;
    }));
    auto made = application::make(with_pages(std::move(all), pages), people, options);
    ASSERT_TRUE(made) << made.error().message;
    app = std::move(*made);
    sources.add_source([this](metrics_text& out) { app->write_metrics(out); });
    server_options listen;
    listen.port = 0;
    listen.threads = 1;
    listen.trusted_proxies = networks::parse({"127.0.0.1"}).value();
    auto started = server::start(listen, [this](request&& r) { return app->answer(std::move(r)); });
    ASSERT_TRUE(started);
    running = std::move(*started);
    client.emplace(running->port());
  }
  void TearDown() override { running.reset(); }

  json get(const std::string& target, std::vector<std::string> headers = {}) {
    auto r = client->get(target, headers);
    auto body = json::parse(r.body, nullptr, false);
    last = std::move(r);
    return body.is_discarded() ? json{} : body;
  }

  few_people people;
  json post_work(const std::string& target, std::vector<std::string> headers) {
    headers.emplace_back("authorization: Bearer pk_ada");
    last = client->post(target, "{}", headers);
    return json::parse(last.body);
  }

  one_notebook notes;
  answers_in_memory answers;
  int worked = 0;
  application_options options;
  std::filesystem::path docs;
  std::string storage_says;
  metrics sources;
  std::unique_ptr<application> app;
  std::unique_ptr<server> running;
  std::optional<http_client> client;
  testing::http_response last;
};

TEST_F(an_application, routes_exact_paths_before_templates) {
  EXPECT_EQ(get("/api/keys/special")["operation"], "special");
  EXPECT_EQ(get("/api/keys/42")["params"], (json{{"id", "42"}}));
  EXPECT_EQ(get("/api/keys/")["operation"], "keys");
  EXPECT_EQ(get("/api/keys/a%20b%C3%A4")["params"]["id"], "a bä");
  EXPECT_EQ(get("/v1/models/openai/gpt%2F5")["params"]["model"], "openai/gpt/5");
  EXPECT_EQ(get("/v1/models//")["error"]["type"], "invalid_request_error") << "nothing is no name";
}

TEST_F(an_application, refuses_paths_that_try_to_leave_and_stays_usable) {
  for (auto target : {"/api/keys/..", "/api/keys/%2e%2e", "/api/keys/..%2f..%2fetc", "/api/keys/%00", "/api/keys/%ff",
                      "/api/keys/%4", "/v1/models/a/..%2fb", "/api/keys/a%0ab", "/api/keys/..%5cx"}) {
    auto body = get(target);
    EXPECT_EQ(last.status, 400) << target;
    EXPECT_TRUE(body.contains("error")) << target;
  }
  EXPECT_EQ(get("/api/keys/a%2fb")["error"], "Not found"); // a slash inside a name fits no template
  EXPECT_EQ(last.status, 404);
  EXPECT_EQ(get("//api/keys")["error"], "Not found");
  EXPECT_EQ(get("/api//keys")["error"], "Not found");
  EXPECT_EQ(get("/api/keys")["operation"], "keys");
}

TEST_F(an_application, says_which_methods_a_path_has) {
  client->request("PUT", "/api/keys/1");
  auto r = client->response();
  EXPECT_EQ(r.status, 405);
  EXPECT_EQ(r.header("allow"), "GET, HEAD, DELETE, OPTIONS");
  EXPECT_EQ(json::parse(r.body), json({{"error", "Method not allowed"}}));
  client->request("TRACE", "/api/keys/1");
  EXPECT_EQ(client->response().status, 405);
  client->request("PUT", "/api/nowhere");
  EXPECT_EQ(client->response().status, 404);
  client->request("OPTIONS", "/api/keys", {}, {"origin: https://elsewhere"});
  r = client->response();
  EXPECT_EQ(r.status, 204);
  EXPECT_EQ(r.header("access-control-allow-methods"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(r.header("access-control-allow-origin"), "*");
  EXPECT_EQ(r.header("access-control-allow-credentials"), "");
}

TEST_F(an_application, answers_unknown_paths_in_the_words_of_the_family) {
  EXPECT_EQ(get("/api/nowhere"), json({{"error", "Not found"}}));
  EXPECT_EQ(get("/api/v1/nowhere", {"authorization: Bearer sp_live_zzz"})["details"]["code"], "NOT_FOUND");
  EXPECT_EQ(get("/api/v1/nowhere", {"authorization: Bearer sk_live_zzz"})["error"]["code"], "not_found");
  EXPECT_EQ(get("/v1/nowhere")["error"]["type"], "invalid_request_error");
  EXPECT_EQ(last.status, 404);
}

TEST_F(an_application, chooses_between_two_families_on_one_path) {
  EXPECT_EQ(get("/api/v1/models")["operation"], "models_unified");
  EXPECT_EQ(get("/api/v1/models", {"authorization: Bearer sk_live_x"})["operation"], "models_platform");
}

TEST_F(an_application, tells_401_from_403_and_503) {
  EXPECT_EQ(get("/api/admin/actors")["error"], "Unauthorized");
  EXPECT_EQ(last.status, 401);
  EXPECT_EQ(last.header("www-authenticate"), "Bearer");
  for (auto bad : {"authorization: Bearer nobody", "authorization: Basic YTpi", "authorization: Bearer",
                   "authorization: Bearer a b"}) {
    get("/api/admin/actors", {bad});
    EXPECT_EQ(last.status, 401) << bad;
  }
  EXPECT_EQ(get("/api/admin/actors", {"authorization: Bearer pk_ada"})["error"], "Forbidden");
  EXPECT_EQ(last.status, 403);
  EXPECT_EQ(get("/api/admin/actors", {"authorization: bearer pk_root"})["who"], "root");
  EXPECT_EQ(get("/v1/mine", {"authorization: Bearer pk_off"})["error"]["message"], "API access is disabled");
  EXPECT_EQ(last.status, 403);
  auto down = get("/v1/mine", {"authorization: Bearer pk_down"});
  EXPECT_EQ(last.status, 503);
  EXPECT_EQ(down.dump().find("internal words"), std::string::npos);
}

TEST_F(an_application, tells_public_endpoints_who_asks_if_it_can) {
  EXPECT_EQ(get("/api/keys")["who"], "");
  EXPECT_EQ(get("/api/keys", {"authorization: Bearer pk_ada"})["who"], "ada");
  EXPECT_EQ(get("/api/keys", {"authorization: Bearer wrong"})["who"], "");
  EXPECT_EQ(get("/api/keys", {"cookie: a=b; troupe_session=s1"})["who"], "ada");
  for (const auto* other : {"cookie: troupe_sessions=s1", "cookie: troupe_session_s1=", "cookie: troupe_session-s1"})
    EXPECT_EQ(get("/api/keys", {other})["who"], "") << other << " is another cookie, whose name begins alike";
}

TEST_F(an_application, lets_a_key_with_scopes_do_what_they_say_and_nothing_else) {
  auto status = [this](const std::string& target, const std::string& scope) {
    get(target, {"authorization: Bearer pk_" + scope});
    return last.status;
  };
  EXPECT_EQ(status("/v1/mine", "read"), 200);
  EXPECT_EQ(status("/v1/mine", "generate"), 403);
  EXPECT_EQ(status("/api/admin/actors", "admin"), 200);
  EXPECT_EQ(status("/api/admin/actors", "read"), 403);
  EXPECT_EQ(status("/api/doors", "account"), 200);
  EXPECT_EQ(status("/api/doors", "read"), 403);
  EXPECT_NE(last.body.find("account"), std::string::npos) << "it says which scope is missing: " << last.body;
  EXPECT_EQ(status("/api/keys", "generate"), 200) << "what is public needs none";
  EXPECT_EQ(client->post("/v1/work", "{}", {"authorization: Bearer pk_generate"}).status, 200);
  EXPECT_EQ(client->post("/v1/work", "{}", {"authorization: Bearer pk_read"}).status, 403);
}

TEST_F(an_application, works_once_for_an_idempotency_key) {
  EXPECT_EQ(post_work("/v1/work", {})["job"], "no key");
  EXPECT_EQ(post_work("/v1/work", {"idempotency-key: k"})["work"], 2);
  EXPECT_EQ(last.header("idempotent-replayed"), "");
  EXPECT_EQ(post_work("/v1/work", {"idempotency-key: k"})["work"], 2);
  EXPECT_EQ(last.header("idempotent-replayed"), "true");
  auto no = post_work("/v1/work?other", {"idempotency-key: k"});
  EXPECT_EQ(last.status, 422);
  EXPECT_EQ(no["error"]["param"], "Idempotency-Key");
  EXPECT_EQ(worked, 2);
  post_work("/v1/work?status=500", {"idempotency-key: failing"});
  post_work("/v1/work?status=500", {"idempotency-key: failing"});
  EXPECT_EQ(worked, 4) << "an error is no answer to keep";
  post_work("/v1/work?status=202", {"idempotency-key: much"});
  post_work("/v1/work?status=202", {"idempotency-key: much"});
  EXPECT_EQ(worked, 6) << "what is not done goes on";
  answers.kept["a1/crashed"] = answers.kept["a1/k"];
  answers.kept["a1/crashed"].made = "j7";
  answers.kept["a1/crashed"].answered.reset();
  EXPECT_EQ(post_work("/v1/work", {"idempotency-key: crashed"})["job"], "j7") << "made, but not answered";
}

TEST_F(an_application, keeps_cookies_to_tls_where_that_is_what_it_is_reached_by) {
  get("/api/cookie");
  EXPECT_EQ(last.header("set-cookie"), "a=b; HttpOnly");
  get("/api/cookie", {"x-forwarded-proto: https"});
  EXPECT_EQ(last.header("set-cookie"), "a=b; HttpOnly; Secure");
}

TEST_F(an_application, wants_a_same_origin_for_changes_that_come_with_a_cookie) {
  auto post = [&](std::vector<std::string> headers) {
    headers.push_back("host: studio.example:8080");
    std::string text = "POST /api/keys HTTP/1.1\r\n";
    for (const auto& h : headers)
      text += h + "\r\n";
    client->send(text + "content-length: 0\r\n\r\n");
    return client->response().status;
  };
  EXPECT_EQ(post({"cookie: troupe_session=s1"}), 403);
  EXPECT_EQ(post({"cookie: troupe_session=s1", "origin: http://evil.example"}), 403);
  EXPECT_EQ(post({"cookie: troupe_session=s1", "origin: null"}), 403);
  EXPECT_EQ(post({"cookie: troupe_session=s1", "origin: http://studio.example:8080.evil"}), 403);
  EXPECT_EQ(post({"cookie: troupe_session=s1", "origin: http://studio.example:8080"}), 200);
  EXPECT_EQ(post({"cookie: troupe_session=s1", "authorization: Bearer pk_ada"}), 200);
  EXPECT_EQ(post({"cookie: troupe_session=unknown", "origin: http://studio.example:8080"}), 401);
}

TEST_F(an_application, serves_the_example_endpoint) {
  const std::vector<std::string> ada{"authorization: Bearer pk_ada"};
  const std::string path = "/api/notebooks/diary%20one/notes";
  auto made = client->post(path, R"({"text":"hi","tags":["a"]})", ada);
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(json::parse(made.body), json({{"id", "n1"}, {"text", "hi"}}));
  EXPECT_EQ(json::parse(client->post(path + "?quiet=true", R"({"text":"hi"})", ada).body), json({{"id", "n2"}}));
  auto wrong = client->post(path, R"({"stars":9,"tags":["a b"]})", ada);
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(json::parse(wrong.body)["error"], "text is required");
  EXPECT_EQ(json::parse(wrong.body)["errors"].size(), 3u);
  EXPECT_EQ(client->post("/api/notebooks/other/notes", R"({"text":"hi"})", ada).status, 404);
  EXPECT_EQ(client->post(path, R"({"text":)", ada).status, 400);
  EXPECT_EQ(client->get("/api/keys").status, 200);
}

TEST_F(an_application, limits_logins_by_address_and_says_when_to_come_back) {
  for (int i = 0; i < 10; ++i) {
    auto r = client->post("/api/login", "{}");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("x-ratelimit-remaining"), std::to_string(9 - i));
  }
  auto r = client->post("/api/login", "{}");
  EXPECT_EQ(r.status, 429);
  EXPECT_EQ(r.header("retry-after"), "300");
  EXPECT_EQ(r.header("x-ratelimit-limit"), "10");
  EXPECT_EQ(json::parse(r.body)["error"], "Rate limit exceeded");
}

TEST_F(an_application, limits_spending_by_account) {
  for (int i = 0; i < 10; ++i)
    client->post("/api/notebooks/x/notes", R"({"text":"a"})", {"authorization: Bearer pk_ada"});
  EXPECT_EQ(client->post("/api/notebooks/x/notes", R"({"text":"a"})", {"authorization: Bearer sp_live_ada"}).status,
            429);
  EXPECT_EQ(client->post("/api/notebooks/x/notes", R"({"text":"a"})", {"authorization: Bearer pk_root"}).status, 404);
}

TEST_F(an_application, describes_every_endpoint_in_its_document) {
  auto doc = get("/openapi.json");
  EXPECT_EQ(doc["openapi"], "3.1.0");
  std::set<std::string> operations;
  for (const auto& row : endpoint_table(app->endpoints())) {
    auto path = row.path;
    path.erase(std::remove(path.begin(), path.end(), '*'), path.end());
    auto method = row.method;
    for (char& c : method)
      c = static_cast<char>(std::tolower(c));
    ASSERT_TRUE(doc["paths"].contains(path) && doc["paths"][path].contains(method)) << row.path;
    const auto& there = doc["paths"][path][method];
    EXPECT_TRUE(there["responses"].is_object() && !there["responses"].empty());
    operations.insert(there["operationId"].get<std::string>());
  }
  EXPECT_TRUE(operations.contains("note_create"));
  const auto& note = doc["paths"]["/api/notebooks/{name}/notes"]["post"];
  EXPECT_EQ(note["parameters"].size(), 3u); // name, quiet, Idempotency-Key
  EXPECT_TRUE(note["responses"].contains("201") && note["responses"].contains("402") &&
              note["responses"].contains("415"));
}

// Walks all references of the document.
void check_references(const json& doc, const json& at) {
  if (at.is_object() && at.contains("$ref")) {
    EXPECT_TRUE(doc.contains(json::json_pointer(at["$ref"].get<std::string>().substr(1)))) << at;
  }
  if (at.is_structured())
    for (const auto& inner : at)
      check_references(doc, inner);
}

TEST_F(an_application, has_no_dangling_reference_in_its_document) {
  auto doc = get("/openapi.json");
  check_references(doc, doc);
}

TEST_F(an_application, says_how_it_is) {
  EXPECT_EQ(get("/livez")["status"], "alive");
  EXPECT_EQ(get("/readyz")["checks"]["storage"], "ok");
  storage_says = "the disk is full";
  EXPECT_EQ(get("/readyz")["checks"]["storage"], "the disk is full");
  EXPECT_EQ(last.status, 503);
  get("/metrics");
  EXPECT_NE(last.body.find("troupe_http_requests_total{operation=\"readyz\",status=\"503\"} 1\n"), std::string::npos)
      << last.body;
  EXPECT_NE(last.body.find("troupe_http_request_seconds_bucket{operation=\"livez\",le=\"+Inf\"} 1\n"),
            std::string::npos);
}

TEST_F(an_application, lists_its_endpoints_when_the_api_page_is_not_installed) {
  get("/docs");
  EXPECT_EQ(last.status, 200);
  EXPECT_NE(last.body.find("/api/notebooks/{name}/notes"), std::string::npos);
  get("/docs/assets/swagger-ui.css");
  EXPECT_EQ(last.status, 404);
}

class an_application_with_its_page : public an_application {
protected:
  void SetUp() override {
    docs = std::filesystem::temp_directory_path() / ("troupe-docs-" + std::to_string(::getpid()));
    std::filesystem::create_directories(docs);
    std::ofstream(docs / "swagger-ui.css") << "body{}";
    std::ofstream(docs / "swagger-ui-bundle.js") << "1";
    std::ofstream(docs / "secret.txt") << "no";
    an_application::SetUp();
  }
  void TearDown() override {
    an_application::TearDown();
    std::filesystem::remove_all(docs);
  }
};

TEST_F(an_application_with_its_page, serves_it_with_a_strict_policy_and_nothing_from_elsewhere) {
  get("/docs");
  EXPECT_NE(last.header("content-security-policy").find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(last.body.find("://"), std::string::npos);
  get("/docs/assets/swagger-ui.css");
  EXPECT_EQ(last.body, "body{}");
  auto etag = last.header("etag");
  get("/docs/assets/swagger-ui.css", {"if-none-match: " + etag});
  EXPECT_EQ(last.status, 304);
  get("/docs/assets/start.js");
  EXPECT_EQ(last.status, 200);
  for (auto target : {"/docs/assets/secret.txt", "/docs/assets/..%2fsecret", "/docs/assets/"}) {
    get(target);
    EXPECT_GE(last.status, 400) << target;
  }
}

TEST(declarations, that_contradict_each_other_are_refused) {
  few_people people;
  auto code = [&](std::vector<endpoint> all) {
    auto made = application::make(std::move(all), people, {});
    return made ? std::string{} : made.error().code;
  };
  EXPECT_EQ(code({simple(verb::get, "/a", "x"), simple(verb::get, "/a/", "y")}), "bad_declaration");
  EXPECT_EQ(code({simple(verb::get, "/a/{x}", "x"), simple(verb::get, "/a/{y}", "y")}), "bad_declaration");
  EXPECT_EQ(code({simple(verb::get, "/a", "x"), simple(verb::post, "/b", "x")}), "bad_declaration");
  EXPECT_EQ(code({simple(verb::get, "/a/{x*}/b", "x")}), "bad_declaration");
  EXPECT_EQ(code({simple(verb::get, "a", "x")}), "bad_declaration");
  EXPECT_EQ(code({simple(verb::get, "/a", "x"), simple(verb::post, "/a", "y")}), "");
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in{path};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(the_guide, quotes_the_example_that_is_compiled) {
  std::filesystem::path root{TROUPE_SOURCE_DIR};
  auto guide = text_of(root / "docs/adding-an-endpoint.md");
  ASSERT_FALSE(guide.empty());
  for (auto file : {"tests/unit/http/example_endpoint.hpp", "tests/unit/http/example_endpoint.cpp"})
    EXPECT_NE(guide.find("```cpp\n" + text_of(root / file) + "```"), std::string::npos)
        << file << " is quoted with other words";
}

} // namespace
} // namespace troupe::http
