#pragma once

// An actor system on one thread with a clock that only moves when told. The same calls in the same order give the same
// message order every run.

#include "actors/messages.hpp"

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <mutex>

namespace troupe::testing {

struct deterministic_config : caf::actor_system_config {
  deterministic_config() {
    static std::once_flag once;
    std::call_once(once, register_messages);
    set("caf.scheduler.policy", "testing");
  }
};

class deterministic_system {
public:
  deterministic_system()
    : system(config), self(system, true),
      scheduler(dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler())) {}
  ~deterministic_system() { scheduler.run(); }

  /// Sends a request, runs every actor until all are idle, and returns the answer; an empty error stands for "not yet".
  template <class Answer, class Message>
  caf::expected<Answer> ask(const caf::actor& to, Message message) {
    caf::expected<Answer> answer{caf::error{}};
    auto handle = self->request(to, caf::infinite, std::move(message));
    scheduler.run();
    self->mailbox().fetch_more();
    if (self->mailbox().empty())
      return answer;
    handle.receive([&](Answer& x) { answer = std::move(x); }, [&](caf::error& e) { answer = std::move(e); });
    return answer;
  }
  template <class Command>
  auto ask(const caf::actor& to, Command command) {
    return ask<typename Command::reply, Command>(to, std::move(command));
  }

  deterministic_config config;
  caf::actor_system system;
  caf::scoped_actor self;
  caf::scheduler::test_coordinator& scheduler;
};

} // namespace troupe::testing
