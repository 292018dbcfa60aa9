#include "actors/base/board.hpp"

namespace troupe {

void actor_entry::note_error(std::string what) {
  errors.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard guard(mutex_);
  last_error_ = std::move(what);
}

std::string actor_entry::last_error() const {
  std::lock_guard guard(mutex_);
  return last_error_;
}

json actor_entry::to_json() const {
  auto last = last_message_at.load(std::memory_order_relaxed);
  return {{"kind", kind},
          {"id", id},
          {"parent", parent},
          {"started_at", rfc3339(started_at)},
          {"mailbox", mailbox.load(std::memory_order_relaxed)},
          {"messages", handled.load(std::memory_order_relaxed)},
          {"busy_us", busy_ns.load(std::memory_order_relaxed) / 1000},
          {"last_message_at", last == 0 ? json() : json(rfc3339(last))},
          {"errors", errors.load(std::memory_order_relaxed)},
          {"last_error", last_error()}};
}

std::shared_ptr<actor_entry> actor_board::join(std::string kind, std::string id, std::string parent) {
  auto entry = std::make_shared<actor_entry>();
  entry->kind = std::move(kind);
  entry->id = std::move(id);
  entry->parent = std::move(parent);
  entry->started_at = now_ms();
  std::lock_guard guard(mutex_);
  entries_[{entry->kind, entry->id}] = entry;
  return entry;
}

void actor_board::leave(const actor_entry& who) {
  std::lock_guard guard(mutex_);
  auto found = entries_.find({who.kind, who.id});
  if (found != entries_.end() && found->second.get() == &who) // a newer activation may have the place already
    entries_.erase(found);
}

std::shared_ptr<actor_entry> actor_board::find(const std::string& kind, const std::string& id) const {
  std::lock_guard guard(mutex_);
  auto found = entries_.find({kind, id});
  return found == entries_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<actor_entry>> actor_board::list(const std::string& kind, const std::string& after,
                                                            std::size_t count) const {
  std::vector<std::shared_ptr<actor_entry>> out;
  std::lock_guard guard(mutex_);
  auto at = entries_.begin();
  if (auto slash = after.find('/'); slash != std::string::npos)
    at = entries_.upper_bound({after.substr(0, slash), after.substr(slash + 1)});
  if (!kind.empty() && (at == entries_.end() || at->first.first < kind))
    at = entries_.lower_bound({kind, ""});
  for (; at != entries_.end() && out.size() < count; ++at) {
    if (!kind.empty() && at->first.first != kind)
      break;
    out.push_back(at->second);
  }
  return out;
}

std::map<std::string, std::size_t> actor_board::counts() const {
  std::map<std::string, std::size_t> out;
  std::lock_guard guard(mutex_);
  for (const auto& [who, entry] : entries_)
    ++out[who.first];
  return out;
}

} // namespace troupe
