#include "http/pages/pages.hpp"

#include "common/sha256.hpp"

#include <fstream>
#include <iterator>
#include <map>

namespace troupe::http {

namespace {

// The bundle sets styles from its script and draws its icons from data: URLs; nothing comes from elsewhere.
constexpr auto docs_policy =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr std::uintmax_t asset_bytes_max = 32 << 20;

constexpr auto docs_page = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API reference</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="api"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
)";

constexpr auto docs_start = R"(SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout"
});
)";

struct asset {
  std::string bytes, content_type, etag;
};
using assets = std::map<std::string, asset>;

// Read once at the start: two files of the bundle and nothing else that may lie in the folder.
assets load_assets(const std::filesystem::path& folder) {
  assets out;
  for (auto [name, type] :
       {std::pair{"swagger-ui.css", "text/css"}, std::pair{"swagger-ui-bundle.js", "text/javascript"}}) {
    std::error_code ec;
    auto size = std::filesystem::file_size(folder / name, ec);
    std::ifstream in{folder / name, std::ios::binary};
    if (folder.empty() || ec || size > asset_bytes_max || !in)
      return {};
    std::string bytes{std::istreambuf_iterator<char>{in}, {}};
    auto etag = sha256_hex(bytes);
    out[name] = {std::move(bytes), std::string{type} + "; charset=utf-8", std::move(etag)};
  }
  out["start.js"] = {docs_start, "text/javascript; charset=utf-8", sha256_hex(docs_start)};
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text)
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  return out;
}

std::string plain_page(const std::vector<endpoint>& all, const api_title& about) {
  std::string out = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + escaped(about.title) +
                    " API</title></head><body><h1>" + escaped(about.title) +
                    " API</h1><p>The interactive page is not installed; <code>scripts/deps</code> installs it. "
                    "The full description is <a href=\"/openapi.json\">/openapi.json</a>.</p><table>";
  for (const auto& e : all)
    out += "<tr><td><code>" + std::string{to_string(e.method)} + "</code></td><td><code>" + escaped(e.path) +
           "</code></td><td>" + escaped(e.summary) + "</td></tr>";
  return out + "</table></body></html>";
}

reply page(std::string html) {
  return reply::bytes(std::move(html), "text/html; charset=utf-8")
      .with("content-security-policy", docs_policy)
      .with("referrer-policy", "no-referrer")
      .with("cache-control", "no-cache");
}

endpoint asset_endpoint(std::shared_ptr<const assets> files) {
  return declare(page_declaration("/docs/assets/{name}", "docs_asset", "A file of the API page", "text/javascript"),
                 [files](const request& r, nothing, nothing) -> asio::awaitable<reply> {
                   auto found = files->find(r.param("name"));
                   if (found == files->end())
                     co_return reply{not_found()};
                   const auto& file = found->second;
                   auto tag = '"' + file.etag + '"';
                   if (r.header("if-none-match") == tag)
                     co_return reply::empty(304).with("etag", tag).with("cache-control", "public, max-age=3600");
                   co_return reply::bytes(file.bytes, file.content_type)
                       .with("etag", tag)
                       .with("cache-control", "public, max-age=3600");
                 });
}

endpoint ready_endpoint(std::vector<readiness> checks) {
  return declare(
      page_declaration("/readyz", "readyz", "Whether requests should come here: 200 or 503", "application/json"),
      [checks = std::move(checks)](const request&, nothing, nothing) -> asio::awaitable<reply> {
        json seen = json::object();
        bool ready = true;
        for (const auto& check : checks) {
          auto why = check.why_not();
          seen[check.name] = why.empty() ? "ok" : why;
          ready = ready && why.empty();
        }
        co_return reply::of({{"status", ready ? "ready" : "not ready"}, {"checks", seen}}, ready ? 200 : 503);
      });
}

} // namespace

declaration page_declaration(std::string path, std::string operation, std::string summary, std::string produces) {
  declaration out;
  out.path = std::move(path);
  out.operation = std::move(operation);
  out.summary = std::move(summary);
  out.tags = {"server"};
  out.needs = access::anyone;
  out.rate = rate_class::none;
  out.produces = std::move(produces);
  return out;
}

std::vector<endpoint> with_pages(std::vector<endpoint> all, pages_options options) {
  auto files = std::make_shared<const assets>(load_assets(options.docs_folder));
  auto document = std::make_shared<std::string>();
  auto html = std::make_shared<std::string>(docs_page);
  all.push_back(declare(page_declaration("/docs", "docs", "The API reference as a page", "text/html"),
                        [html](const request&, nothing, nothing) -> asio::awaitable<reply> { co_return page(*html); }));
  all.push_back(asset_endpoint(files));
  all.push_back(declare(page_declaration("/openapi.json", "openapi", "This document", "application/json"),
                        [document](const request&, nothing, nothing) -> asio::awaitable<reply> {
                          co_return reply::bytes(*document, "application/json").with("cache-control", "no-cache");
                        }));
  all.push_back(declare(page_declaration("/livez", "livez", "The process answers", "application/json"),
                        [](const request&, nothing, nothing) -> asio::awaitable<reply> {
                          co_return reply::of({{"status", "alive"}});
                        }));
  all.push_back(ready_endpoint(std::move(options.ready)));
  all.push_back(declare(page_declaration("/metrics", "metrics", "Counters for Prometheus", "text/plain"),
                        [sources = options.sources](const request&, nothing, nothing) -> asio::awaitable<reply> {
                          co_return reply::bytes(sources ? sources->text() : std::string{},
                                                 "text/plain; version=0.0.4");
                        }));
  *document = openapi(all, options.about).dump();
  if (files->empty())
    *html = plain_page(all, options.about);
  return all;
}

} // namespace troupe::http
