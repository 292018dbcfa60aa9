#pragma once

// What every message between actors has: a JSON form, from which serialisation, the journal and the console come.
//
// A command that a persistent actor takes says so itself, and so is typed end to end:
//   struct book { static constexpr actor_kind to = actor_kind::ledger; using reply = booked; … };

#include "common/ids.hpp"
#include "common/json.hpp"

#include <caf/all.hpp>

#include <string>

namespace troupe {

/// Actors that live in the journal and are activated by (kind, id).
enum class actor_kind : std::uint8_t { account = 1, ledger, job, subscription };
const char* to_string(actor_kind kind);

/// Why an actor would not. Names are stable: clients and logs rely on them.
enum class refusal : std::uint8_t {
  insufficient_credits = 1,
  not_found,
  exists,               // something of that name is there already
  conflict,             // not in this state
  invalid,              // the request makes no sense
  forbidden,            // not with this tier or role
  queue_full,           // a limit of the queue; later it may do
  unavailable,          // the disk or a peer cannot now; later it may do
  spend_limit_exceeded, // the API key may not spend that much
};
std::string to_string(refusal why);
bool from_string(caf::string_view in, refusal& out);
bool from_integer(std::uint8_t in, refusal& out);

template <class Inspector>
bool inspect(Inspector& f, refusal& x) {
  return caf::default_enum_inspect(f, x);
}

/// Serialises a message by its JSON form.
template <class Inspector, class T>
bool inspect_as_json(Inspector& f, T& x) {
  auto get = [&x] { return to_msgpack(json(x)); };
  auto set = [&x](const std::string& bytes) {
    auto value = from_msgpack(bytes);
    if (!value)
      return false;
    x = value->get<T>();
    return true;
  };
  return f.object(x).fields(f.field("json", get, set));
}

/// Any JSON as a reply.
struct description {
  json value;
};
inline void to_json(json& out, const description& x) { out = x.value; }
inline void from_json(const json& in, description& x) { x.value = in; }
template <class Inspector>
bool inspect(Inspector& f, description& x) {
  return inspect_as_json(f, x);
}

/// Asks any actor for its state; answered by the base of all actors with a description.
struct inspect_actor {
  std::string why; // of no use to the actor; messages may not be empty
};
/// The directory asks an actor that has been idle to leave; it answers whether it will.
struct passivate {
  std::string why;
};
/// The journal has answered commit number `ticket` of this actor; sent to it by the journal's thread.
struct committed {
  std::uint64_t ticket = 0;
  std::uint8_t status = 0; // storage::commit_status
};

} // namespace troupe

/// Defines the JSON form and the serialisation of a struct. Fields that are missing when read keep their default.
#define TROUPE_MESSAGE(Type, ...)                                                                                      \
  NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Type, __VA_ARGS__)                                                   \
  template <class Inspector>                                                                                           \
  bool inspect(Inspector& f, Type& x) {                                                                                \
    return ::troupe::inspect_as_json(f, x);                                                                            \
  }

namespace troupe {
TROUPE_MESSAGE(inspect_actor, why)
TROUPE_MESSAGE(passivate, why)
TROUPE_MESSAGE(committed, ticket, status)
} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_base, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(troupe_base, (troupe::refusal))
CAF_ADD_TYPE_ID(troupe_base, (troupe::description))
CAF_ADD_TYPE_ID(troupe_base, (troupe::inspect_actor))
CAF_ADD_TYPE_ID(troupe_base, (troupe::passivate))
CAF_ADD_TYPE_ID(troupe_base, (troupe::committed))
CAF_END_TYPE_ID_BLOCK(troupe_base)

CAF_ERROR_CODE_ENUM(troupe::refusal)

namespace troupe {

/// A refusal with words for the person who asked and, for programs, context such as {"cost": 21, "balance": 5}.
caf::error refuse(refusal why, std::string message, const json& context = json::object());

/// The same, read back. An error that is no refusal (a time-out, a dead actor) reads as `unavailable`.
struct refused {
  refusal why = refusal::unavailable;
  std::string message;
  json context = json::object();
};
refused read_refusal(const caf::error& why);

} // namespace troupe
