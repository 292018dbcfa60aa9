#pragma once

// How a request becomes a job: checked against its workflow and the account's tier, priced, and handed to its actor.

#include "http/bridge/head.hpp"
#include "http/message.hpp"
#include "workflows/plan.hpp"

#include <variant>

namespace troupe::http {

struct accepted_job {
  submitted_job receipt;
  std::string workflow;
  std::uint32_t version = 1;
  json stages; // [{index, name, kind, depends_on, price_credits}]
};

/// Errors are ready to be answered: 400 naming the field, 402 with cost and balance, 403 with the tier, 503 with the
/// reason.
/// With an Idempotency-Key that made a job before a crash, it is that job.
asio::awaitable<std::variant<accepted_job, problem>> submit(const head& h, const request& r, std::string workflow,
                                                            json inputs);

/// The same up to the point where money would move: the plan, or why there can be none. `who` null: no tier is checked.
std::variant<workflow::plan_ptr, problem> plan_of(const head& h, const identity* who, const std::string& workflow,
                                                  const json& inputs);

/// What an actor's refusal looks like to a client.
problem problem_of(const caf::error& why);

/// 403 with required_tier, tier and upgrade_url.
problem tier_problem(const std::string& message, catalog::tier required, const std::string& has);

/// The movement that gives the month's allowance if it is due.
movement allowance_of(const head& h, const std::string& tier, timestamp at);

} // namespace troupe::http
