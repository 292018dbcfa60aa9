#include "tests/simulation/head.hpp"

#include "actors/messages.hpp"

#include <caf/all.hpp>

#include <mutex>

namespace troupe::simulation {

namespace {

caf::actor_clock::time_point instant(micros at) {
  return caf::actor_clock::time_point{std::chrono::nanoseconds(1 + at * 1000)};
}

micros time_of(caf::actor_clock::time_point at) {
  return (std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count() + 998) / 1000;
}

caf::behavior client(caf::event_based_actor*) {
  return {[](const inspect_actor&) {}};
}

} // namespace

head::head(const surroundings& around, dice luck) : around_(around) {
  static std::once_flag registered;
  std::call_once(registered, register_messages);
  database_ =
      std::make_unique<simulated_database>(around_.disk, around_.disk_does, around_.time, luck, around_.written);
  app::read_admins(*database_, admins_);
  app::read_capabilities(*database_, offered_);
  app::read_nodes(*database_, nodes_);
  config_.set("caf.scheduler.policy", "testing");
  system_ = std::make_unique<caf::actor_system>(config_);
  scheduler_ = &dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
  scheduler_->clock().current_time = instant(around_.time.now());
  link::head_link_handler handler;
  handler.allowed = [this](const std::string& key) { return nodes_.name_of(key).has_value(); };
  handler.on_message = [this](const link::peer& from, wire::from_node&& what, std::size_t bytes) {
    caf::anon_send(others_->cluster, node_said{from.connection, from.public_key, std::move(what), bytes});
  };
  handler.on_closed = [this](const link::peer& from, const std::string& why) {
    caf::anon_send(others_->cluster, connection_closed{from.connection, from.public_key, why});
  };
  link_ = std::make_unique<head_end>(around_.lines, around_.time, std::move(handler));
  app::spawn_actors(*system_, {board_, *database_, admins_, nodes_, offered_, link_.get(), around_.is_here},
                    around_.options, others_);
  client_handle_ = system_->spawn(client);
  client_ = caf::actor_cast<caf::event_based_actor*>(client_handle_);
}

head::~head() {
  *alive_ = false;
  link_->die();
  database_->die();
  for (int round = 0; round < 3; ++round) {
    for (const auto& entry : board_.list("", "", 10'000'000))
      if (auto who = caf::actor_cast<caf::strong_actor_ptr>(entry->address))
        caf::anon_send_exit(caf::actor_cast<caf::actor>(who), caf::exit_reason::kill);
    caf::anon_send_exit(client_handle_, caf::exit_reason::kill);
    scheduler_->run();
  }
  client_handle_ = nullptr;
  others_->clear();
  scheduler_->clock().schedule.clear();
  database_.reset();
  system_->await_all_actors_done();
  system_.reset();
}

// As head_core::take_up, which waits for each answer on a thread of its own.
void head::resume_jobs() {
  auto queue = [this](queue_stages batch) {
    caf::anon_send(others_->scheduler, std::move(batch));
    return true;
  };
  for (const auto& job : app::read_open_jobs(*database_, queue))
    tell(resume_job{job});
}

void head::work(turns order, dice& luck) {
  auto& jobs = scheduler_->jobs;
  if (order == turns::last_come)
    std::rotate(jobs.begin(), jobs.end() - 1, jobs.end());
  else if (order == turns::drawn && jobs.size() > 1)
    std::swap(jobs.front(), jobs[static_cast<std::size_t>(luck.below(jobs.size()))]);
  scheduler_->run_once();
  client_->context(nullptr); // it is asked from outside, where there is none
}

std::optional<micros> head::next_timeout() {
  auto& due = scheduler_->clock().schedule;
  while (!due.empty() && due.begin()->second.f.disposed())
    due.erase(due.begin());
  return due.empty() ? std::nullopt : std::optional(time_of(due.begin()->first));
}

void head::catch_up() {
  auto& clock = scheduler_->clock();
  auto now = instant(around_.time.now());
  if (now > clock.current_time)
    clock.advance_time(now - clock.current_time);
}

} // namespace troupe::simulation
