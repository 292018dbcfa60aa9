#pragma once

// The pages that mails lead to: /reset chooses a new password, /confirm-email confirms an address. The token is in the
// link's fragment, which a browser sends to nobody; a script gives it to the API once the reader has said so.

#include "http/endpoint.hpp"

#include <vector>

namespace troupe::http {

/// GET /reset, /confirm-email, /mailed/assets/{name}.
std::vector<endpoint> mailed_link_endpoints();

} // namespace troupe::http
