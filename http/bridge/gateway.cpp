#include "http/bridge/gateway.hpp"

using troupe::http::gateway_task_ptr;

CAF_BEGIN_TYPE_ID_BLOCK(troupe_gateway, caf::id_block::troupe_cluster::end + 1)
CAF_ADD_TYPE_ID(troupe_gateway, (gateway_task_ptr))
CAF_END_TYPE_ID_BLOCK(troupe_gateway)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(gateway_task_ptr)

namespace troupe::http {

namespace {

caf::behavior serve(caf::event_based_actor* self) {
  self->set_exception_handler([](std::exception_ptr&) { return caf::error{}; });
  return {[self](const gateway_task_ptr& task) { task->run(self); }};
}

} // namespace

gateway::gateway(caf::actor_system& system, address_book_ptr others) : others_(std::move(others)) {
  for (int i = 0; i < 2; ++i)
    gateways_.push_back(system.spawn(serve));
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
