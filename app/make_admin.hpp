#pragma once

#include "app/head_core.hpp"

#include <string>

namespace troupe::app {

/// Makes an account with the admin role, and waits until it is durable. Errors: `invalid` (name or password), `exists`,
/// `unavailable`.
result<void> make_admin(head_core& core, const std::string& username, const std::string& password);

} // namespace troupe::app
