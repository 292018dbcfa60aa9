#include "gpu/link/admission.hpp"

namespace troupe::link {

admitted admission::admit(const std::string& public_key, const wire::from_node& what, std::size_t bytes) {
  std::lock_guard guard(mutex_);
  auto& now = waiting_[public_key];
  bool may_be_lost = std::holds_alternative<wire::progress>(what) || std::holds_alternative<wire::preview>(what);
  if (may_be_lost && (now.messages >= limits_.losable_messages_max || now.bytes >= limits_.losable_bytes_max))
    return admitted::no;
  if (now.messages >= limits_.messages_max || now.bytes >= limits_.bytes_max)
    return admitted::too_much;
  ++now.messages;
  now.bytes += bytes;
  return admitted::yes;
}

void admission::handled(const std::string& public_key, std::size_t bytes) {
  std::lock_guard guard(mutex_);
  auto found = waiting_.find(public_key);
  TROUPE_CHECK(found != waiting_.end() && found->second.bytes >= bytes);
  found->second.bytes -= bytes;
  if (--found->second.messages == 0)
    waiting_.erase(found);
}

} // namespace troupe::link
