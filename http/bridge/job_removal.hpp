#pragma once

#include "http/bridge/blob_guard.hpp"
#include "http/bridge/head.hpp"
#include "http/message.hpp"

#include <optional>

namespace troupe::http {

/// Takes a job out of its owner's sight, stopping it first should it run, and deletes its files where nobody else has
/// the same content. Why not, or nothing.
asio::awaitable<std::optional<problem>> remove_job(const head& h, blob_guard& guard, std::string account,
                                                   std::string job);

} // namespace troupe::http
