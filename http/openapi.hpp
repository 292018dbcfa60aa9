#pragma once

#include "http/endpoint.hpp"

#include <string>
#include <vector>

namespace troupe::http {

struct api_title {
  std::string title = "Troupe";
  std::string version = "0.1.0";
  std::string description = "Video, image, audio and language generation on your own machines.";
};

/// The OpenAPI 3.1 document of the endpoints. Where two families share a method and path, the first one declared is
/// described and the other is named in its description.
json openapi(const std::vector<endpoint>& all, const api_title& about = {});

} // namespace troupe::http
