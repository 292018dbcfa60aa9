#include "app/hold_sweep.hpp"

#include "actors/directory/directory_messages.hpp"
#include "actors/ledger/ledger_messages.hpp"
#include "actors/ledger/orphan_holds.hpp"
#include "common/log.hpp"

#include <caf/all.hpp>

namespace troupe::app {

hold_sweep::hold_sweep(head_core& core) : core_(core), thread_([this] { run(); }) {}

hold_sweep::~hold_sweep() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void hold_sweep::run() {
  auto made_before = now_ms(); // whoever held for a request died with the head before
  for (;;) {
    sweep(made_before);
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, std::chrono::milliseconds(interval_ms), [this] { return stopping_; }))
      return;
    made_before = now_ms() - interval_ms; // no request lasts an hour
  }
}

std::size_t hold_sweep::sweep(timestamp made_before) {
  std::size_t released = 0;
  caf::scoped_actor self{core_.system()};
  for (const auto& [account, job] : ledger::orphan_holds(core_.database(), made_before, releases_max)) {
    {
      std::lock_guard guard(mutex_);
      if (stopping_)
        return released;
    }
    book request;
    request.account = account;
    request.at = now_ms();
    request.movements.push_back({"release", 0, job, {}, {}, "nothing works for it any more"});
    // Also where nothing is held: the row itself is wrong then, and must not be found for ever.
    request.attached.rows.push_back({storage::table::open_holds, storage::key_of(account, job), std::nullopt, false});
    self->request(core_.others()->directory, std::chrono::seconds(20), routed(std::move(request)))
        .receive(
            [&](booked& done) {
              ++released;
              log::warn("account {}: {} micro-credits were held for {}, which is no open job; they are in the wallet "
                        "again. Nothing is to be done; if this comes often, report it with this line",
                        account, done.moved, job);
            },
            [&](caf::error& why) {
              log::error("account {}: what is held for {} could not be released: {}; the next sweep tries again",
                         account, job, read_refusal(why).message);
            });
  }
  return released;
}

} // namespace troupe::app
