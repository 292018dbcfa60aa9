#pragma once

// What one shows of oneself.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

#include <optional>

namespace troupe::http::studio {

struct profile_body {
  std::optional<std::string> display_name, bio;
  std::optional<bool> profile_public;
};
struct theme_body {
  std::string theme;
};
template <class V>
void describe(V& v, profile_body& x) {
  v.optional("display_name", x.display_name, "how others call you", {.length_max = 80});
  v.optional("bio", x.bio, "about you", {.length_max = 1000});
  v.optional("profile_public", x.profile_public, "whether others can see it");
}
template <class V>
void describe(V& v, theme_body& x) {
  v.required("theme", x.theme, "how the pages look", {.one_of = {"dark", "light"}});
}

/// GET, POST and PUT /api/profile, GET and POST /api/profile/avatar, POST /api/settings/theme, and of those who show
/// theirs GET /api/profiles/{username} and its avatar. `h` must outlive them.
std::vector<endpoint> profile_endpoints(const head& h);

} // namespace troupe::http::studio
