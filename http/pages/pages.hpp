#pragma once

// What the server says about itself: /docs, /openapi.json, /livez, /readyz, /metrics.

#include "http/endpoint.hpp"
#include "http/metrics.hpp"
#include "http/openapi.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace troupe::http {

/// One thing that must be well before requests should come, e.g. {"storage", …}.
struct readiness {
  std::string name;
  /// Empty: ready; else why not, in words for an operator that hold nothing secret. Must not block.
  std::function<std::string()> why_not;
};

struct pages_options {
  api_title about;
  /// Where scripts/deps put the API page ($prefix/docs-ui); without it /docs is a plain list.
  std::filesystem::path docs_folder;
  std::vector<readiness> ready;
  metrics* sources = nullptr; ///< must outlive the endpoints
};

/// What is declared of a page of the server's own: anyone may see it, and it has no rate limit.
declaration page_declaration(std::string path, std::string operation, std::string summary, std::string produces);

/// `all` with the pages behind them; they are in the document, too.
std::vector<endpoint> with_pages(std::vector<endpoint> all, pages_options options);

} // namespace troupe::http
