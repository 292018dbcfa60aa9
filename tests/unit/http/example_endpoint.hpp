#pragma once

#include "http/endpoint.hpp"

namespace troupe::http {

/// What the endpoints need from the rest; the program implements it by asking actors, a test in a few lines.
class notebook {
public:
  virtual ~notebook() = default;
  /// The new note's id, or nothing if the account has no notebook of that name.
  virtual asio::awaitable<std::optional<std::string>> add(std::string account, std::string name, std::string text) = 0;
};

std::vector<endpoint> note_endpoints(notebook& notes);

} // namespace troupe::http
