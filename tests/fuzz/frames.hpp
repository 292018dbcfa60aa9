#pragma once

// What holds of a frame in either direction: it is refused with a reason, or what was read of it can be said again in
// words that are read the same.
#include "common/check.hpp"
#include "gpu/wire/messages.hpp"

template <class Message, class Decode>
int try_frame(const std::uint8_t* data, std::size_t size, Decode decode) {
  using namespace troupe;
  std::string_view frame(reinterpret_cast<const char*>(data), size);
  result<Message> read = decode(frame);
  if (!read) {
    TROUPE_CHECK(read.error().code == "malformed_frame" || read.error().code == "unknown_message");
    TROUPE_CHECK(!json(read.error().message).dump().empty()); // it is logged and told
    return 0;
  }
  auto said = wire::encode(*read);
  result<Message> again = decode(said);
  TROUPE_CHECK(again && again->index() == read->index() && wire::encode(*again) == said);
  return 0;
}
