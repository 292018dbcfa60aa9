#pragma once

#include "common/configuration.hpp"
#include "http/payments/cashier.hpp"

#include <memory>

namespace troupe::app {

/// The payment provider that the settings name. Errors: `configuration` (a file with a secret cannot be read or is
/// empty), naming the file, never what is in it.
result<std::unique_ptr<payments::provider>> make_payment_provider(const configuration& config);

/// What the desk needs to know besides. The same errors.
result<payments::settings> payment_settings(const configuration& config);

} // namespace troupe::app
