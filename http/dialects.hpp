#pragma once

// The four API families and how each of them says that something went wrong.

#include "common/json.hpp"

#include <string>
#include <string_view>

namespace troupe::http {

enum class family { studio, unified, platform, openai };

std::string_view to_string(family f);

/// Why a request was refused, in no family's words. `code` is stable and in snake_case: "not_found", "invalid_request",
/// "insufficient_credits", …; `message` is for people and holds nothing internal.
struct problem {
  int status = 500;
  std::string code = "internal";
  std::string message;
  json context = json::object(); ///< e.g. {"cost": 14, "balance": 3}
  std::string param;             ///< the field that is wrong, if one is
};

/// The family whose shape answers, by path and by the prefix of the presented key (valid or not).
/// `authorization` is the header's value, "" without one. Unknown paths outside /v1 are the studio's.
family family_of(std::string_view path, std::string_view authorization);

/// The body of the error in the family's shape.
json render(const problem& why, family speaks);

/// The JSON schema of the family's errors, for OpenAPI.
json error_schema(family speaks);

/// Problems with the words of the seeds. The family's own code follows from `code`.
problem unauthorized();
problem forbidden(std::string message = "Forbidden");
problem not_found(std::string message = "Not found");
problem invalid(std::string message, std::string param = {});
problem unavailable(std::string message);

} // namespace troupe::http
