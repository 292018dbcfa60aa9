#include "http/bridge/gateway.hpp"

#include "common/clock.hpp"

#include <vector>

using troupe::http::gateway_task_ptr;

CAF_BEGIN_TYPE_ID_BLOCK(troupe_gateway, caf::id_block::troupe_cluster::end + 1)
CAF_ADD_TYPE_ID(troupe_gateway, (gateway_task_ptr))
CAF_END_TYPE_ID_BLOCK(troupe_gateway)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(gateway_task_ptr)

namespace troupe::http {

namespace {

constexpr auto look_every = std::chrono::seconds(1);

struct waiting_room {
  struct entry {
    std::int64_t until = 0; // steady_ms
    std::shared_ptr<under_way> what;
  };
  std::vector<entry> all; // those that wait, and what was answered since it was looked through
  bool looking = false;
};
using gateway_actor = caf::stateful_actor<waiting_room>;

// A time-out of the actor system for each request would wake its clock's thread twice a request.
void look_for_late(gateway_actor* self) {
  auto& all = self->state.all;
  auto now = steady_ms();
  for (const auto& one : all)
    if (one.until <= now)
      one.what->expire(); // does nothing to what is over
  std::erase_if(all, [](const auto& one) { return one.what->over(); });
  self->state.looking = !all.empty();
  if (self->state.looking)
    self->run_delayed(look_every, [self] { look_for_late(self); });
}

caf::behavior serve(gateway_actor* self, std::chrono::milliseconds time_out) {
  self->set_exception_handler([](std::exception_ptr&) { return caf::error{}; });
  return {[self, time_out](const gateway_task_ptr& task) {
    auto& [all, looking] = self->state;
    all.push_back({steady_ms() + time_out.count(), task->run(self)});
    if (!looking)
      look_for_late(self);
  }};
}

} // namespace

gateway::gateway(caf::actor_system& system, address_book_ptr others, std::chrono::milliseconds time_out)
  : others_(std::move(others)) {
  for (int i = 0; i < 2; ++i)
    gateways_.push_back(system.spawn(serve, time_out));
}

gateway::~gateway() {
  for (const auto& g : gateways_)
    caf::anon_send_exit(g, caf::exit_reason::user_shutdown);
}

void gateway::post(const caf::actor& through, gateway_task_ptr task) { caf::anon_send(through, std::move(task)); }

const caf::actor& gateway::next() {
  return gateways_[turn_.fetch_add(1, std::memory_order_relaxed) % gateways_.size()];
}

void register_gateway_messages() { caf::init_global_meta_objects<caf::id_block::troupe_gateway>(); }

} // namespace troupe::http
