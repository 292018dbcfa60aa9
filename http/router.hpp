#pragma once

#include "common/result.hpp"
#include "http/endpoint.hpp"

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace troupe::http {

/// Finds the endpoint of a path. Exact segments win over "{name}", these over "{name*}". A slash at the end is ignored.
class router {
public:
  /// Errors: `bad_declaration` (two endpoints alike, a malformed template). `all` must outlive the router.
  static result<router> make(const std::vector<endpoint>& all);
  router(router&&) noexcept;
  router& operator=(router&&) noexcept;
  ~router();

  struct found {
    const endpoint* which = nullptr;
    /// Decoded: not empty, no NUL, no "/" or "\" (but in "{name*}"), no "." or "..".
    std::map<std::string, std::string> params;
  };
  /// The path exists, but not with this method: 405, or for OPTIONS what it allows.
  struct other_methods {
    std::string allow; ///< "GET, HEAD, OPTIONS"
  };
  struct unknown {};   ///< 404
  struct malformed {}; ///< 400: broken escapes, ".." and the like
  using answer = std::variant<found, other_methods, unknown, malformed>;

  /// `speaks` chooses where two families have the same method and path.
  answer find(verb method, std::string_view raw_path, family speaks) const;

private:
  struct node;
  router();
  std::unique_ptr<node> root_;
};

} // namespace troupe::http
