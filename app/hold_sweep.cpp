#include "app/hold_sweep.hpp"

#include "actors/directory/directory_messages.hpp"
#include "actors/ledger/ledger_messages.hpp"
#include "actors/ledger/orphan_holds.hpp"
#include "common/log.hpp"

#include <caf/all.hpp>

#include <algorithm>

namespace troupe::app {

hold_sweep::hold_sweep(head_core& core)
  : core_(core), thread_(std::chrono::milliseconds(0), interval, [this](const std::stop_token& stop) { sweep(stop); }) {
}

void hold_sweep::sweep(const std::stop_token& stop) {
  // Whoever held for a request died with the head before, and no request lasts an hour.
  auto made_before = std::max(started_, now_ms() - interval.count());
  caf::scoped_actor self{core_.system()};
  for (const auto& [account, job] : ledger::orphan_holds(core_.database(), made_before, releases_max)) {
    if (stop.stop_requested())
      return;
    book request;
    request.account = account;
    request.at = now_ms();
    request.movements.push_back({"release", 0, job, {}, {}, "nothing works for it any more"});
    // Also where nothing is held: the row itself is wrong then, and must not be found for ever.
    request.attached.rows.push_back({storage::table::open_holds, storage::key_of(account, job), std::nullopt, false});
    self->request(core_.others()->directory, std::chrono::seconds(20), routed(std::move(request)))
        .receive(
            [&](booked& done) {
              log::warn("account {}: {} micro-credits were held for {}, which is no open job; they are in the wallet "
                        "again. Nothing is to be done; if this comes often, report it with this line",
                        account, done.moved, job);
            },
            [&](caf::error& why) {
              log::error("account {}: what is held for {} could not be released: {}; the next sweep tries again",
                         account, job, read_refusal(why).message);
            });
  }
}

} // namespace troupe::app
