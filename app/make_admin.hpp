#pragma once

#include "app/head_core.hpp"

#include <string>

namespace troupe::app {

/// Makes an account with the admin role, and waits until it is durable. Errors: `invalid` (name or password), `exists`,
/// `unavailable`.
result<void> make_admin(head_core& core, const std::string& username, const std::string& password);

/// Whether somebody has an account, so that the installation's secret key cannot be another from now on.
bool has_accounts(const head_core& core);

} // namespace troupe::app
