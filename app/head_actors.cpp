#include "app/head_actors.hpp"

#include "actors/account/account_actor.hpp"
#include "actors/job/open_job.hpp"
#include "actors/job/start_timer.hpp"
#include "actors/ledger/ledger_actor.hpp"
#include "actors/messages.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "actors/subscription/subscription_actor.hpp"
#include "common/log.hpp"

#include <caf/all.hpp>

#include <iterator>
#include <utility>

namespace troupe::app {

namespace {

constexpr std::size_t queue_batch = 500; // stages told to the scheduler at once, by a start

directory_actor::factory factory_of(const head_parts& parts, const address_book_ptr& others, job_options jobs) {
  return [&database = parts.database, &board = parts.board, &admins = parts.admins, others,
          jobs](caf::event_based_actor& parent, actor_kind kind, std::string id, past_of_actor past) {
    auto& journal = database.journal();
    switch (kind) {
      case actor_kind::account:
        return parent.spawn<account_actor>(std::ref(board), std::ref(journal), std::ref(admins), std::move(id),
                                           std::move(past.events));
      case actor_kind::ledger:
        return parent.spawn<ledger_actor>(std::ref(board), std::ref(journal), std::move(id), std::move(past.events),
                                          past.last_feed_id);
      case actor_kind::subscription:
        return parent.spawn<subscription_actor>(std::ref(board), std::ref(journal), others, std::move(id),
                                                std::move(past.events));
      case actor_kind::job: break;
    }
    return parent.spawn<job_actor>(std::ref(board), std::ref(journal), others, jobs, std::move(id),
                                   std::move(past.events));
  };
}

} // namespace

namespace {

scheduling::limits limits_of(const configuration& config) {
  const auto& set = config.scheduler;
  auto count = [](std::int64_t value) { return static_cast<std::uint32_t>(value); };
  auto part = [](std::int64_t percent) { return static_cast<double>(percent) / 100; };
  scheduling::limits out;
  out.queue_max = count(set.queue_max);
  out.queue_per_account = count(set.queue_per_account);
  out.in_flight_per_account = count(set.in_flight_per_account);
  out.failures_to_quarantine = count(set.failures_to_quarantine);
  out.quarantine_ms = set.quarantine_s * 1000;
  out.interactive_lead_ms = set.interactive_lead_ms;
  out.preemptible_lag_ms = set.preemptible_lag_ms;
  out.warm_lead_ms = set.warm_lead_ms;
  out.warm_run_max_ms = set.warm_run_max_ms;
  out.residency_min_ms = set.residency_min_ms;
  out.aging_after_ms = set.aging_after_ms;
  out.aging_period = count(set.aging_period);
  out.class_shares_min = {part(set.interactive_share_percent), part(set.standard_share_percent),
                          part(set.preemptible_share_percent)};
  out.reserve_after_ms = set.reserve_after_ms;
  out.preempt_after_ms = set.preempt_after_ms;
  out.preempt_run_min_ms = set.preempt_run_min_ms;
  out.preemptions_max = count(set.preemptions_max);
  out.straggler_factor = part(set.straggler_percent);
  out.straggler_run_min_ms = set.straggler_run_min_ms;
  out.stragglers_share_max = part(set.stragglers_share_percent);
  return out;
}

} // namespace

actor_options options_of(const configuration& config) {
  actor_options out;
  out.scheduler = limits_of(config);
  out.jobs.reattach_ms = config.node.timeout_ms + 2'000;
  out.directory.passivate_after_ms = config.actors.passivate_after_s * 1000;
  out.cluster.node_timeout_ms = config.node.timeout_ms;
  out.cluster.heartbeat_ms = static_cast<std::uint32_t>(config.node.heartbeat_ms);
  out.cluster.lease_ms = static_cast<std::uint32_t>(config.node.lease_ms);
  return out;
}

void spawn_actors(caf::actor_system& system, const head_parts& parts, const actor_options& options,
                  const address_book_ptr& others) {
  auto& board = parts.board;
  auto epoch = parts.database.epoch();
  auto jobs = options.jobs;
  jobs.fence = std::uint64_t{epoch} << 32; // as the scheduler numbers attempts
  jobs.began_at = now_ms();
  auto cluster = options.cluster;
  cluster.is_here = parts.is_here;
  cluster.is_job = [&database = parts.database](const std::string& job) {
    return database.get(storage::table::jobs, job).has_value();
  };
  others->scheduler =
      system.spawn<scheduler_actor>(std::ref(board), others, options.scheduler, static_cast<std::uint32_t>(epoch));
  others->directory = system.spawn<directory_actor>(std::ref(board), std::ref(parts.database),
                                                    factory_of(parts, others, jobs), options.directory);
  others->start_timer = system.spawn<start_timer>(std::ref(board));
  if (parts.link != nullptr)
    others->cluster = system.spawn<cluster_actor>(std::ref(board), others, std::ref(*parts.link), std::ref(parts.nodes),
                                                  std::ref(parts.offered), std::ref(parts.database.journal()), cluster);
}

void read_admins(const storage::database& from, admin_roll& into) {
  from.scan(storage::table::admins, "", "", false, [&](std::string_view account, std::string_view) {
    into.enter(std::string{account});
    return true;
  });
}

void read_nodes(const storage::database& from, node_registry& into) {
  from.scan(storage::table::nodes, "", "", false, [&](std::string_view name, std::string_view value) {
    if (auto record = unpack(value); record && record->is_object())
      into.put(std::string{name}, record->get<node_record>());
    return true;
  });
}

void read_capabilities(const storage::database& from, capabilities& into) {
  if (auto known = from.get(storage::table::meta, capabilities_row))
    if (auto all = unpack(*known))
      into.replace(capabilities_from_json(*all));
}

std::vector<std::string> read_open_jobs(const storage::database& from, const std::function<bool(queue_stages)>& queue) {
  std::vector<std::string> begun;
  std::size_t waiting = 0;
  queue_stages batch;
  bool more = true;
  from.scan(storage::table::open_jobs, "", "", false, [&](std::string_view job, std::string_view row) {
    auto open = jobs::unpack_open_job(job, row);
    if (!open || open->waiting.empty()) {
      begun.emplace_back(job);
      return more;
    }
    ++waiting;
    std::move(open->waiting.begin(), open->waiting.end(), std::back_inserter(batch.stages));
    if (batch.stages.size() >= queue_batch)
      more = queue(std::exchange(batch, {}));
    return more;
  });
  if (more && !batch.stages.empty())
    queue(std::move(batch));
  if (waiting + begun.size() > 0)
    log::info("{} jobs had not ended and go on: {} wait for their first stage, {} had begun", waiting + begun.size(),
              waiting, begun.size());
  return begun;
}

} // namespace troupe::app
