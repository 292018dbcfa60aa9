#pragma once

#include "actors/base/persistent.hpp"
#include "common/check.hpp"

// -- counter_messages.hpp: what it can be told and what it answers ----------------------------------------------------

namespace troupe {

struct counted {
  std::int64_t value = 0;
};
TROUPE_MESSAGE(counted, value)

/// Adds to the counter. Errors: invalid (it would fall below zero).
struct add_to_counter {
  std::int64_t amount = 0;
};
TROUPE_MESSAGE(add_to_counter, amount)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_counter, caf::first_custom_type_id + 200)
CAF_ADD_TYPE_ID(troupe_counter, (troupe::counted))
CAF_ADD_TYPE_ID(troupe_counter, (troupe::add_to_counter))
CAF_END_TYPE_ID_BLOCK(troupe_counter)

// -- counter_core.hpp: the rules, pure --------------------------------------------------------------------------------

namespace troupe::counter {

struct added {
  static constexpr const char* type = "added";
  std::int64_t amount = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(added, amount)

class counter_core {
public:
  using event = std::variant<added>;

  bool allows(std::int64_t amount) const { return value + amount >= 0; }
  void evolve(const event& happened) { value += std::get<added>(happened).amount; }

  json to_json() const { return {{"value", value}}; }
  static counter_core from_json(const json& state) {
    counter_core out;
    out.value = state.at("value").get<std::int64_t>();
    return out;
  }
  /// 1. The counter is never below zero.
  void check_invariants() const { TROUPE_CHECK(value >= 0); }

  std::int64_t value = 0;
};

} // namespace troupe::counter

// -- counter_actor.hpp: the mailbox -----------------------------------------------------------------------------------

namespace troupe {

/// A counter that survives restarts. Its rules are in counter_core, its durability in persistent<>.
class counter_actor final : public persistent<counter::counter_core> {
public:
  counter_actor(caf::actor_config& config, actor_board& board, storage::journal& journal, std::string id,
                storage::replayed past)
    : persistent(config, board, journal, actor_kind::account, std::move(id), std::move(past)) {}

  caf::behavior make_behavior() override {
    if (!restore())
      return {};
    return {on(&counter_actor::add), on(&counter_actor::inspect_self), on(&counter_actor::on_committed)};
  }

private:
  caf::result<counted> add(add_to_counter& request) {
    if (!core_.allows(request.amount))
      return refuse(refusal::invalid, "the counter would fall below zero");
    storage::batch batch;
    evolve_into({counter::added{request.amount}}, batch);
    auto promise = make_response_promise<counted>();
    commit(std::move(batch), [promise, now = core_.value](storage::commit_status status) mutable {
      if (status == storage::commit_status::ok)
        promise.deliver(counted{now});
      else
        promise.deliver(refuse(refusal::unavailable, "the disk did not take it"));
    });
    return promise;
  }
};

} // namespace troupe
