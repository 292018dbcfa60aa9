#pragma once

// The base of all actors: each is seen on the board with its counters, and answers inspect_actor with its state.

#include "actors/base/board.hpp"
#include "actors/base/message.hpp"

#include <chrono>

namespace troupe {

class visible : public caf::event_based_actor {
public:
  visible(caf::actor_config& config, actor_board& board, std::string kind, std::string id, std::string parent)
    : caf::event_based_actor(config), board_(board),
      entry_(board.join(std::move(kind), std::move(id), std::move(parent))) {
    entry_->address = this->address();
    set_default_handler([this](caf::scheduled_actor*, caf::message& what) -> caf::skippable_result {
      entry_->note_error("a message it does not know: " + to_string(what.types()));
      return caf::make_error(caf::sec::unexpected_message);
    });
  }

  const char* name() const override { return entry_->kind.c_str(); }

  void on_exit() override {
    board_.leave(*entry_);
    caf::event_based_actor::on_exit();
  }

protected:
  /// What the console shows of this actor. Holds no secret.
  virtual json state_json() const = 0;

  /// A handler that counts: `on(&ledger_actor::book)`.
  template <class Derived, class Result, class Message>
  auto on(Result (Derived::*member)(Message&)) {
    return [this, member](Message& message) -> Result {
      measure m(*this);
      return (static_cast<Derived*>(this)->*member)(message);
    };
  }

  /// Sends what wants no answer. Without a sender, as the result of a handler would come back as a message of its own.
  template <class Message>
  static void tell(const caf::actor& to, Message message) {
    caf::anon_send(to, std::move(message));
  }

  caf::result<description> inspect_self(inspect_actor&) { return description{state_json()}; }

  actor_entry& entry() { return *entry_; }
  const std::string& id() const { return entry_->id; }

private:
  struct measure {
    explicit measure(visible& who) : who_(who), begin_(std::chrono::steady_clock::now()) {}
    measure(const measure&) = delete;
    measure& operator=(const measure&) = delete;
    ~measure() {
      auto took = std::chrono::steady_clock::now() - begin_;
      auto& e = *who_.entry_;
      e.handled.fetch_add(1, std::memory_order_relaxed);
      e.busy_ns.fetch_add(static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count()),
                          std::memory_order_relaxed);
      e.mailbox.store(who_.mailbox().size(), std::memory_order_relaxed);
      e.last_message_at.store(now_ms(), std::memory_order_relaxed);
    }
    visible& who_;
    std::chrono::steady_clock::time_point begin_;
  };

  actor_board& board_;
  std::shared_ptr<actor_entry> entry_;
};

} // namespace troupe
