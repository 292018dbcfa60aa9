#include "app/head_core.hpp"

#include "actors/account/account_actor.hpp"
#include "actors/cluster/cluster_actor.hpp"
#include "actors/directory/directory_actor.hpp"
#include "actors/job/job_actor.hpp"
#include "actors/job/open_job.hpp"
#include "actors/ledger/ledger_actor.hpp"
#include "actors/messages.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "actors/subscription/subscription_actor.hpp"
#include "common/log.hpp"
#include "common/sha256.hpp"

#include <caf/all.hpp>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <thread>

namespace troupe::app {

namespace {

constexpr std::size_t socket_path_max = 100;  // sockaddr_un holds 108
constexpr std::size_t queue_batch = 500;      // stages told to the scheduler at once, by a start
constexpr std::size_t resumed_at_a_time = 64; // jobs read back at once, by a start
constexpr auto resume_time = std::chrono::seconds(30);

std::string endpoint_in(const std::filesystem::path& data) {
  auto path = (data / "node.sock").string();
  // An abstract name has no length to speak of, and no file that could be left behind.
  return path.size() <= socket_path_max ? "ipc://" + path : "ipc://@troupe-" + sha256_hex(path).substr(0, 32);
}

directory_actor::factory factory_of(storage::database& database, actor_board& board, admin_roll& admins,
                                    address_book_ptr others, job_options jobs) {
  return [&database, &board, &admins, others, jobs](caf::event_based_actor& parent, actor_kind kind, std::string id,
                                                    past_of_actor past) {
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

result<std::unique_ptr<head_core>> head_core::start(const configuration& config, bool with_link,
                                                    std::function<void(const account_id&)> on_feed) {
  static std::once_flag registered;
  std::call_once(registered, register_messages);
  std::unique_ptr<head_core> out(new head_core);
  std::error_code made;
  std::filesystem::create_directories(config.data.directory, made);
  out->data_ = std::filesystem::weakly_canonical(config.data.directory);
  storage::database_options options;
  options.directory = out->data_;
  options.cache_mib = static_cast<std::size_t>(config.storage.cache_mib);
  auto database = storage::database::open(options);
  if (!database)
    return database.error();
  out->database_ = std::move(*database);
  if (on_feed)
    out->database_->journal().on_feed([on_feed](const account_id& account, std::uint64_t) { on_feed(account); });
  out->database_->scan(storage::table::admins, "", "", false, [&out](std::string_view account, std::string_view) {
    out->admins_.enter(std::string{account});
    return true;
  });
  auto blobs = storage::blob_store::open(out->data_ / "blobs");
  if (!blobs)
    return blobs.error();
  out->blobs_ = std::move(*blobs);
  out->caf_config_.set("caf.scheduler.policy", "sharing"); // stealing spins: 20 % of a core when idle
  // CAF's least is 4, which on a small machine only take turns. One must be left while another is busy.
  out->caf_config_.set("caf.scheduler.max-threads", std::max(2u, std::thread::hardware_concurrency()));
  out->system_ = std::make_unique<caf::actor_system>(out->caf_config_);
  if (auto known = out->database_->get(storage::table::meta, capabilities_row))
    if (auto all = unpack(*known))
      out->offered_.replace(capabilities_from_json(*all));
  if (with_link) {
    if (auto opened = out->open_link(config); !opened)
      return opened.error();
  }
  out->spawn_actors(config);
  return out;
}

result<void> head_core::open_link(const configuration& config) {
  auto keys = link::load_or_make_key_pair((data_ / "head.key").string());
  if (!keys)
    return keys.error();
  std::filesystem::create_directories(data_ / "node");
  auto local = link::load_or_make_key_pair((data_ / "node" / "curve.key").string());
  if (!local)
    return local.error();
  keys_ = *keys;
  local_keys_ = *local;
  local_endpoint_ = endpoint_in(data_);
  database_->scan(storage::table::nodes, "", "", false, [this](std::string_view name, std::string_view value) {
    if (auto record = unpack(value); record && record->is_object())
      nodes_.put(std::string{name}, record->get<node_record>());
    return true;
  });
  auto of_local = nodes_.find(local_node).value_or(node_record{});
  of_local.public_key = local_keys_.public_key;
  if (config.node.local)
    nodes_.put(local_node, std::move(of_local));
  else
    nodes_.remove(local_node);
  link::head_link_options options;
  options.endpoints = {local_endpoint_};
  for (const auto& endpoint : config.cluster.listen)
    options.endpoints.push_back(endpoint);
  options.keys = keys_;
  // The link talks before the cluster is there for a moment; it waits for it.
  auto cluster = std::make_shared<std::shared_future<caf::actor>>(cluster_.get_future().share());
  link::head_link_handler handler;
  handler.allowed = [this](const std::string& key) { return nodes_.name_of(key).has_value(); };
  handler.on_message = [cluster](const link::peer& from, wire::from_node&& what) {
    caf::anon_send(cluster->get(), node_said{from.connection, from.public_key, std::move(what)});
  };
  handler.on_closed = [cluster](const link::peer& from, const std::string& why) {
    caf::anon_send(cluster->get(), connection_closed{from.connection, from.public_key, why});
  };
  handler.on_unknown_fields = [cluster](const link::peer& from, const std::string& fields) {
    caf::anon_send(cluster->get(), unknown_fields_said{from.connection, fields});
  };
  handler.on_corrupt = [](const std::string& sha256) {
    log::error("artifact {} does not have the content that its name says; the stage that made it runs again", sha256);
  };
  auto opened = link::head_link::open(options, *blobs_, std::move(handler));
  if (!opened)
    return opened.error();
  link_ = std::move(*opened);
  return {};
}

void head_core::spawn_actors(const configuration& config) {
  scheduling::limits limits;
  limits.in_flight_per_account = static_cast<std::uint32_t>(config.scheduler.in_flight_per_account);
  limits.queue_max = static_cast<std::uint32_t>(config.scheduler.queue_max);
  limits.queue_per_account = static_cast<std::uint32_t>(config.scheduler.queue_per_account);
  limits.losses_max = workflow::run::limits::lost_nodes_max; // the run counts them too, and decides
  job_options jobs;
  jobs.reattach_ms = config.node.timeout_ms + 2'000;
  jobs.fence = std::uint64_t{database_->epoch()} << 32; // as the scheduler numbers attempts
  jobs.began_at = now_ms();
  directory_options directory;
  directory.passivate_after_ms = config.actors.passivate_after_s * 1000;
  cluster_options cluster;
  cluster.node_timeout_ms = config.node.timeout_ms;
  cluster.heartbeat_ms = static_cast<std::uint32_t>(config.node.heartbeat_ms);
  cluster.lease_ms = static_cast<std::uint32_t>(config.node.lease_ms);
  cluster.is_here = [this](const wire::artifact& file) { return blobs_->size(file.sha256) == file.bytes; };
  others_->scheduler = system_->spawn<scheduler_actor>(std::ref(board_), others_, limits,
                                                       static_cast<std::uint32_t>(database_->epoch()));
  others_->directory = system_->spawn<directory_actor>(
      std::ref(board_), std::ref(*database_), factory_of(*database_, board_, admins_, others_, jobs), directory);
  if (link_) {
    others_->cluster = system_->spawn<cluster_actor>(std::ref(board_), others_, std::ref(*link_), std::ref(nodes_),
                                                     std::ref(offered_), std::ref(database_->journal()), cluster);
    cluster_.set_value(others_->cluster);
  }
}

void head_core::resume_jobs() {
  resuming_ = std::jthread([this](const std::stop_token& stop) { take_up(stop); });
}

void head_core::take_up(const std::stop_token& stop) {
  caf::scoped_actor self{*system_};
  std::vector<std::string> begun;
  std::size_t waiting = 0;
  queue_stages batch;
  auto queue = [&] { // the answer is what bounds how much is in the scheduler's mailbox
    self->request(others_->scheduler, caf::infinite, std::exchange(batch, {})).receive([] {}, [](caf::error&) {});
  };
  database_->scan(storage::table::open_jobs, "", "", false, [&](std::string_view job, std::string_view row) {
    auto open = jobs::unpack_open_job(job, row);
    if (!open || open->waiting.empty()) {
      begun.emplace_back(job);
      return !stop.stop_requested();
    }
    ++waiting;
    std::move(open->waiting.begin(), open->waiting.end(), std::back_inserter(batch.stages));
    if (batch.stages.size() >= queue_batch)
      queue();
    return !stop.stop_requested();
  });
  queue();
  if (waiting + begun.size() > 0)
    log::info("{} jobs had not ended and go on: {} wait for their first stage, {} had begun", waiting + begun.size(),
              waiting, begun.size());
  auto resume = [&](const std::string& job) {
    return self->request(others_->directory, resume_time, routed(resume_job{job}));
  };
  for (std::size_t at = 0; at < begun.size() && !stop.stop_requested(); at += resumed_at_a_time) {
    std::vector<decltype(resume(""))> under_way;
    for (auto i = at; i < std::min(begun.size(), at + resumed_at_a_time); ++i)
      under_way.push_back(resume(begun[i]));
    for (auto& answer : under_way)
      answer.receive([](description&) {}, [](caf::error&) {}); // whatever it is, it is logged where it arose
  }
}

head_core::~head_core() {
  if (!system_)
    return;
  resuming_ = {};
  // Everyone is on the board; those that came while we looked are found by looking again.
  for (int round = 0; round < 3; ++round)
    for (const auto& entry : board_.list("", "", 10'000'000))
      if (auto who = caf::actor_cast<caf::strong_actor_ptr>(entry->address))
        caf::anon_send_exit(caf::actor_cast<caf::actor>(who), caf::exit_reason::user_shutdown);
  others_->directory = nullptr;
  others_->scheduler = nullptr;
  others_->cluster = nullptr;
  system_->await_all_actors_done();
  link_.reset();     // not before: until its end the cluster sends heartbeats through it
  database_.reset(); // what the journal still has to say, it says while there is a system to say it in
  system_.reset();
}

} // namespace troupe::app
