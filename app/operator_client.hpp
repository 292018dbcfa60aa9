#pragma once

#include "common/json.hpp"
#include "common/result.hpp"

#include <string>

namespace troupe::app {

/// Asks a running head as an admin, for `troupe admin`: one request at a time, 30 s patience, answers up to 64 MiB.
class operator_client {
public:
  /// `url`: "http://127.0.0.1:8080"; `key`: an API key of an admin. It goes in a header, and is in no error.
  operator_client(std::string url, std::string key);

  /// The answer of a status below 400. Errors: `unreachable`, `refused` (with the head's own words).
  result<json> ask(const std::string& method, const std::string& path, const json& body = nullptr) const;

private:
  std::string url_, key_;
};

} // namespace troupe::app
