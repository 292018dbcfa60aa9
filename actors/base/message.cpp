#include "actors/base/message.hpp"

namespace troupe {

const char* to_string(actor_kind kind) {
  switch (kind) {
    case actor_kind::account: return "account";
    case actor_kind::ledger: return "ledger";
    case actor_kind::job: return "job";
    case actor_kind::subscription: return "subscription";
  }
  return "unknown";
}

std::string to_string(refusal why) {
  switch (why) {
    case refusal::insufficient_credits: return "insufficient_credits";
    case refusal::not_found: return "not_found";
    case refusal::exists: return "exists";
    case refusal::conflict: return "conflict";
    case refusal::invalid: return "invalid";
    case refusal::forbidden: return "forbidden";
    case refusal::queue_full: return "queue_full";
    case refusal::unavailable: return "unavailable";
    case refusal::spend_limit_exceeded: return "spend_limit_exceeded";
  }
  return "unknown_refusal";
}

bool from_integer(std::uint8_t in, refusal& out) {
  if (in < 1 || in > static_cast<std::uint8_t>(refusal::spend_limit_exceeded))
    return false;
  out = static_cast<refusal>(in);
  return true;
}

bool from_string(caf::string_view in, refusal& out) {
  for (std::uint8_t i = 1; from_integer(i, out); ++i)
    if (in.compare(to_string(out)) == 0)
      return true;
  return false;
}

caf::error refuse(refusal why, std::string message, const json& context) {
  return caf::make_error(why, std::move(message), context.dump(-1, ' ', false, json::error_handler_t::replace));
}

refused read_refusal(const caf::error& why) {
  refused out;
  if (why.category() != caf::type_id_v<refusal> || !from_integer(why.code(), out.why)) {
    out.message = to_string(why);
    return out;
  }
  if (auto view = caf::make_const_typed_message_view<std::string, std::string>(why.context())) {
    out.message = caf::get<0>(view);
    out.context = json::parse(caf::get<1>(view), nullptr, false);
  }
  return out;
}

} // namespace troupe
