#include "actors/directory/directory_actor.hpp"

#include "actors/messages.hpp"

#include "common/log.hpp"

using past_ptr = std::shared_ptr<troupe::past_of_actor>;

CAF_BEGIN_TYPE_ID_BLOCK(troupe_loader, caf::id_block::troupe_cluster::end)
CAF_ADD_TYPE_ID(troupe_loader, (past_ptr))
CAF_END_TYPE_ID_BLOCK(troupe_loader)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(past_ptr)

namespace troupe {

void register_loader_messages() { caf::init_global_meta_objects<caf::id_block::troupe_loader>(); }

namespace {

// Reading back blocks on the disk, so it has threads of its own.
caf::behavior loader(caf::event_based_actor*, storage::database* database) {
  return {[database](std::uint8_t kind, const std::string& id) -> caf::result<past_ptr> {
    auto which = static_cast<actor_kind>(kind);
    auto key = std::string{to_string(which)} + "/" + id;
    auto events = database->journal().replay(key);
    if (!events) {
      log::critical("{} cannot be read back: {}", key, events.error().message);
      return refuse(refusal::unavailable, "the stored state cannot be read");
    }
    auto out = std::make_shared<past_of_actor>();
    out->events = std::move(*events);
    if (which == actor_kind::ledger)
      out->last_feed_id = database->feed_last(account_id{id});
    return out;
  }};
}

} // namespace

directory_actor::directory_actor(caf::actor_config& config, actor_board& board, storage::database& database,
                                 factory make, directory_options options)
  : visible(config, board, "directory", "main", ""), database_(database), make_(std::move(make)), options_(options) {}

caf::behavior directory_actor::make_behavior() {
  for (unsigned i = 0; i < options_.loaders; ++i)
    loaders_.push_back(options_.loaders_have_threads ? spawn<caf::detached + caf::linked>(loader, &database_)
                                                     : spawn<caf::linked>(loader, &database_));
  set_down_handler([this](const caf::down_msg& down) { went(down); });
  delayed_send(this, std::chrono::seconds(5), sweep{0});
  return {
      on(&directory_actor::deliver),
      on(&directory_actor::look_for_idle),
      on(&directory_actor::inspect_self),
  };
}

caf::result<caf::message> directory_actor::deliver(route& message) {
  auto key = std::string{to_string(message.kind)} + "/" + message.id;
  auto [found, absent] = entries_.try_emplace(key);
  auto& target = found->second;
  auto promise = make_response_promise();
  if (absent) {
    target.kind = message.kind;
    target.id = message.id;
    target.place = used_.insert(used_.end(), key);
    if (message.fresh)
      loaded(key, {});
    else
      load(key, target);
  } else {
    used_.splice(used_.end(), used_, target.place);
  }
  target.last_used = steady_ms();
  if (target.now == phase::live) {
    promise.delegate(target.handle, std::move(message.content));
  } else if (target.waiting.size() >= options_.waiting_max) {
    promise.deliver(refuse(refusal::unavailable, "too many requests wait for " + key));
  } else {
    target.waiting.emplace_back(promise, std::move(message.content));
  }
  return caf::delegated<caf::message>{};
}

void directory_actor::load(const std::string& key, resident& target) {
  target.now = phase::loading;
  auto& from = loaders_[next_loader_++ % loaders_.size()];
  request(from, caf::infinite, static_cast<std::uint8_t>(target.kind), target.id)
      .then([this, key](past_ptr& past) { loaded(key, std::move(*past)); },
            [this, key](caf::error& why) {
              auto found = entries_.find(key);
              if (found == entries_.end())
                return;
              entry().note_error(key + ": " + to_string(why));
              fail_waiting(found->second, "its stored state cannot be read");
              used_.erase(found->second.place);
              entries_.erase(found);
            });
}

void directory_actor::loaded(const std::string& key, past_of_actor past) {
  auto& target = entries_.at(key);
  target.handle = make_(*this, target.kind, target.id, std::move(past));
  keys_.emplace(target.handle.id(), key);
  monitor(target.handle);
  target.now = phase::live;
  ++activations_;
  flush(target);
}

void directory_actor::flush(resident& target) {
  for (auto& [promise, content] : std::exchange(target.waiting, {}))
    promise.delegate(target.handle, std::move(content));
}

void directory_actor::fail_waiting(resident& target, const std::string& why) {
  for (auto& [promise, content] : std::exchange(target.waiting, {}))
    promise.deliver(refuse(refusal::unavailable, why));
}

void directory_actor::went(const caf::down_msg& down) {
  auto known = keys_.find(down.source.id());
  if (known == keys_.end())
    return;
  auto key = std::move(known->second);
  keys_.erase(known);
  auto found = entries_.find(key);
  if (found == entries_.end())
    return;
  if (down.reason && down.reason != caf::make_error(caf::exit_reason::user_shutdown))
    log::info("{} left: {}; it comes back from disk with its next message", key, to_string(down.reason));
  else
    ++passivations_;
  auto& target = found->second;
  target.handle = nullptr;
  // A job that fell must be told to go on: whom it waits for may have told it already.
  if (down.reason && target.kind == actor_kind::job && down.reason != caf::make_error(caf::exit_reason::user_shutdown))
    delayed_anon_send(caf::actor_cast<caf::actor>(this), std::chrono::seconds(1), routed(resume_job{target.id}));
  if (!target.waiting.empty()) {
    load(key, target);
    return;
  }
  used_.erase(target.place);
  entries_.erase(found);
}

caf::result<void> directory_actor::look_for_idle(sweep&) {
  auto now = steady_ms();
  std::vector<std::string> idle;
  for (const auto& key : used_) {
    const auto& target = entries_.at(key);
    if (now - target.last_used < options_.passivate_after_ms)
      break;
    if (target.now == phase::live)
      idle.push_back(key);
  }
  for (const auto& key : idle) {
    auto& target = entries_.at(key);
    target.now = phase::leaving;
    auto stays = [this, key] {
      auto found = entries_.find(key);
      if (found == entries_.end() || found->second.now != phase::leaving || !found->second.handle)
        return;
      found->second.now = phase::live;
      found->second.last_used = steady_ms();
      used_.splice(used_.end(), used_, found->second.place);
      flush(found->second);
    };
    request(target.handle, std::chrono::seconds(10), passivate{"idle"})
        .then(
            [stays](bool leaves) {
              if (!leaves)
                stays();
            },
            [stays](caf::error&) { stays(); });
  }
  delayed_send(this, std::chrono::seconds(5), sweep{0});
  return {};
}

json directory_actor::state_json() const {
  std::size_t loading = 0;
  for (const auto& [key, target] : entries_)
    loading += target.now == phase::loading ? 1 : 0;
  return {{"active", entries_.size()},
          {"loading", loading},
          {"activations", activations_},
          {"passivations", passivations_}};
}

} // namespace troupe
