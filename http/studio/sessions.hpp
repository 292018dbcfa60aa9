#pragma once

// The browsers that are logged in to one's account.

#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

namespace troupe::http::studio {

/// GET and DELETE /api/sessions, DELETE /api/sessions/{id}. `h` must outlive them.
std::vector<endpoint> session_endpoints(const head& h);

} // namespace troupe::http::studio
