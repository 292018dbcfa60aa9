#pragma once

#include "storage/journal.hpp"

#include <boost/asio/awaitable.hpp>

namespace troupe::http {

/// Makes a batch that belongs to no actor durable, and resumes the coroutine on its own executor when the disk knows.
boost::asio::awaitable<storage::commit_status> commit(storage::journal& into, storage::batch what);

/// The same for a thread that may wait.
storage::commit_status commit_and_wait(storage::journal& into, storage::batch what);

} // namespace troupe::http
