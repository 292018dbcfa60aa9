#include "http/bridge/submission.hpp"

#include "common/random.hpp"
#include "http/bridge/store_answer_book.hpp"
#include "workflows/expand.hpp"

namespace troupe::http {

namespace {

/// The part of the word before which a message of the workflow module names its field.
std::string field_of(const std::string& message) { return message.substr(0, message.find(' ')); }

/// The first stage that no engine can serve now, as a 503.
std::optional<problem> unserved(const head& h, const workflow::plan& plan) {
  for (const auto& stage : plan.stages) {
    auto can = h.offered.of(stage.kind);
    if (can.available && (!can.preview || h.stand_ins_allowed))
      continue;
    auto reason = can.available ? "stand-ins are forbidden by the operator" : can.reason;
    problem out = unavailable("No engine can serve " + stage.kind + " now: " + reason);
    out.context["reason"] = reason;
    return out;
  }
  return std::nullopt;
}

json stages_of(const workflow::plan& plan) {
  json out = json::array();
  for (const auto& stage : plan.stages)
    out.push_back({{"index", stage.index},
                   {"name", stage.name},
                   {"kind", stage.kind},
                   {"depends_on", stage.dependencies},
                   {"price_credits", static_cast<double>(stage.price) / micro_per_credit}});
  return out;
}

/// The job that a request made before the server died on its answer.
asio::awaitable<std::variant<accepted_job, problem>> made_before(const head& h, const request& r) {
  describe_job ask;
  ask.job = r.only_once->made;
  auto job = co_await h.actors.ask(std::move(ask));
  if (!job)
    co_return problem_of(job.error());
  read_books read;
  read.account = r.who->account;
  auto money = co_await h.actors.ask(std::move(read));
  if (!money)
    co_return problem_of(money.error());
  const auto& view = job->value;
  accepted_job out;
  out.receipt = {r.only_once->made, view.value("price_micro_credits", micro_credits{0}), money->balance};
  out.workflow = view.value("workflow", std::string{});
  out.version = view.value("workflow_version", 1u);
  out.stages = json::array();
  for (const auto& stage : view.value("stages", json::array())) {
    json one;
    for (const auto* field : {"index", "name", "kind", "depends_on", "price_credits"})
      one[field] = stage.value(field, json{});
    out.stages.push_back(std::move(one));
  }
  co_return out;
}

} // namespace

problem tier_problem(const std::string& message, catalog::tier required, const std::string& has) {
  problem out = forbidden(message);
  out.context = {{"required_tier", catalog::name_of(required)}, {"tier", has}, {"upgrade_url", "/pricing"}};
  return out;
}

movement allowance_of(const head& h, const std::string& tier, timestamp at) {
  auto which = catalog::tier_of(tier).value_or(catalog::tier::free);
  movement out;
  out.kind = "allowance";
  out.amount = credits(catalog::limits_of(h.tiers, which).credits_per_month);
  out.period = month_of(at);
  out.note = "monthly allowance, " + std::string{catalog::name_of(which)};
  return out;
}

std::variant<workflow::plan_ptr, problem> plan_of(const head& h, const identity* who, const std::string& name,
                                                  const json& inputs) {
  auto definition = h.workflows.find(name);
  if (!definition)
    return not_found("No workflow is called '" + name + "'");
  auto checked = workflow::validate_inputs(*definition, inputs);
  if (!checked)
    return invalid(checked.error().message, field_of(checked.error().message));
  auto tier = who == nullptr ? catalog::tier::enterprise : catalog::tier_of(who->tier).value_or(catalog::tier::free);
  workflow::expansion_context context;
  context.run_seed = random_seed();
  if (catalog::limits_of(h.tiers, tier).watermark)
    context.watermark = "Made with Troupe";
  auto expanded = workflow::expand(*definition, *checked, context);
  if (!expanded) {
    if (expanded.error().code == "model_unavailable")
      return unavailable(expanded.error().message);
    return invalid(expanded.error().message, field_of(expanded.error().message));
  }
  if (who != nullptr) {
    if (expanded->min_tier > tier)
      return tier_problem("This needs the " + std::string{catalog::title_of(expanded->min_tier)} +
                              " tier or a higher one",
                          expanded->min_tier, who->tier);
    if (auto within = catalog::check_demand(h.tiers, tier, expanded->demand); !within) {
      if (within.error().code == "beyond_all_tiers")
        return invalid(within.error().message, field_of(within.error().message));
      auto needed = catalog::lowest_tier_for(h.tiers, expanded->demand).value_or(catalog::tier::enterprise);
      return tier_problem(within.error().message, needed, who->tier);
    }
  }
  return std::make_shared<const workflow::plan>(std::move(*expanded));
}

namespace {

// Why nothing more is taken now, and when to come back: as long as it takes, at the rate of the last minutes, until
// there is room. What slips in between this and the job's first stage waits with its job.
asio::awaitable<std::optional<problem>> queue_is_full(const head& h, const std::string& account) {
  if (!h.actors.may_a_line_be_full())
    co_return std::nullopt;
  ask_admission ask;
  ask.account = account;
  auto told = co_await h.actors.ask_scheduler(std::move(ask));
  if (!told)
    co_return problem_of(told.error());
  if (!told->value.contains("code"))
    co_return std::nullopt;
  problem out;
  out.status = 429;
  out.code = "queue_full";
  out.message = told->value.value("code", std::string{}) == "queue_full"
                    ? "The queue is full; try again later"
                    : "Too many of your stages are waiting; try again later";
  out.context = {{"retry_after", told->value.value("retry_after_s", std::int64_t{1})}};
  co_return out;
}

} // namespace

asio::awaitable<std::variant<accepted_job, problem>> submit(const head& h, const request& r, std::string name,
                                                            json inputs) {
  if (r.only_once && !r.only_once->made.empty())
    co_return co_await made_before(h, r);
  const auto& who = *r.who;
  auto planned = plan_of(h, &who, name, inputs);
  if (auto why = std::get_if<problem>(&planned))
    co_return std::move(*why);
  auto plan = std::get<workflow::plan_ptr>(std::move(planned));
  if (auto why = unserved(h, *plan))
    co_return std::move(*why);
  auto full = co_await queue_is_full(h, who.account);
  if (full)
    co_return std::move(*full);
  auto definition = h.workflows.find_by_hash(plan->hash);
  auto checked = workflow::validate_inputs(*definition, inputs);
  submit_job command;
  command.job = make_ulid();
  command.account = who.account;
  auto tier = catalog::tier_of(who.tier).value_or(catalog::tier::free);
  command.weight = static_cast<std::uint32_t>(catalog::limits_of(h.tiers, tier).weight);
  command.generation = h.database.next_number("generation");
  if (command.generation == 0)
    co_return unavailable("The disk takes nothing now; try again shortly");
  command.feed_before = h.database.feed_last(account_id{who.account});
  command.workflow = plan->workflow;
  command.version = plan->version;
  command.definition = plan->hash;
  command.inputs = checked ? std::move(*checked) : json::object();
  command.plan = plan;
  command.at = now_ms();
  auto allowance = allowance_of(h, who.tier, command.at);
  command.period = allowance.period;
  command.allowance = allowance.amount;
  if (auto row = once_row(r, command.job, command.at))
    command.rows.push_back(std::move(*row));
  command.key = who.key;
  command.key_limit = who.spend_limit;
  auto receipt = co_await h.actors.ask(std::move(command), true);
  if (!receipt)
    co_return problem_of(receipt.error());
  accepted_job out{std::move(*receipt), plan->workflow, plan->version, stages_of(*plan)};
  co_return out;
}

problem problem_of(const caf::error& error) {
  auto why = read_refusal(error);
  problem out;
  out.code = to_string(why.why);
  out.message = why.message;
  out.context = why.context;
  switch (why.why) {
    case refusal::insufficient_credits:
      out.status = 402;
      out.message = "Not enough credits";
      out.context["upgrade_url"] = "/pricing";
      return out;
    case refusal::spend_limit_exceeded:
      out.status = 402;
      out.context["upgrade_url"] = "/pricing";
      return out;
    case refusal::not_found: return not_found();
    case refusal::exists:
    case refusal::conflict: out.status = 409; return out;
    case refusal::invalid: out.status = 400; return out;
    case refusal::forbidden: out.status = 403; return out;
    case refusal::queue_full: out.status = 429; return out;
    case refusal::unavailable: break;
  }
  return unavailable("The server cannot do this now; try again shortly");
}

} // namespace troupe::http
