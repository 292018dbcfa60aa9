#pragma once

// How persistent actors are reached: by (kind, id), through the directory, which activates them on their first message.

#include "actors/subscription/subscription_messages.hpp"

namespace troupe {

/// A command for a persistent actor. The answer comes from that actor.
struct route {
  actor_kind kind = actor_kind::account;
  std::string id;
  caf::message content;
  bool fresh = false; // the actor has never been: nothing to read back
};

template <class Inspector>
bool inspect(Inspector& f, route& x) {
  auto get = [&x] { return static_cast<std::uint8_t>(x.kind); };
  auto set = [&x](std::uint8_t v) {
    x.kind = static_cast<actor_kind>(v);
    return v >= 1 && v <= static_cast<std::uint8_t>(actor_kind::subscription);
  };
  return f.object(x).fields(f.field("kind", get, set), f.field("id", x.id), f.field("content", x.content),
                            f.field("fresh", x.fresh));
}

/// Time to look for idle actors.
struct sweep {
  timestamp at = 0;
};
TROUPE_MESSAGE(sweep, at)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_directory, caf::id_block::troupe_subscription::end)
CAF_ADD_TYPE_ID(troupe_directory, (troupe::route))
CAF_ADD_TYPE_ID(troupe_directory, (troupe::sweep))
CAF_END_TYPE_ID_BLOCK(troupe_directory)

namespace troupe {

/// Whom a command is for: each names an account or a job.
template <class Command>
const std::string& target_of(const Command& command) {
  if constexpr (Command::to == actor_kind::job)
    return command.job;
  else
    return command.account;
}

/// Wraps a command for the directory.
template <class Command>
route routed(Command command, bool fresh = false) {
  auto id = target_of(command);
  return {Command::to, std::move(id), caf::make_message(std::move(command)), fresh};
}

} // namespace troupe
