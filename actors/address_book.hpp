#pragma once

#include <caf/actor.hpp>

#include <memory>

namespace troupe {

/// The actors that there is one of. Filled while the head starts, before the first message; only read afterwards.
struct address_book {
  caf::actor directory, scheduler, cluster;
};
using address_book_ptr = std::shared_ptr<address_book>;

} // namespace troupe
