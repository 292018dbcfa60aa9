#include "app/head_core.hpp"

#include "actors/base/worker_queue.hpp"
#include "actors/cluster/cluster_messages.hpp"
#include "actors/messages.hpp"
#include "app/head_actors.hpp"
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
constexpr std::size_t resumed_at_a_time = 64; // jobs read back at once, by a start
constexpr auto resume_time = std::chrono::seconds(30);

std::string endpoint_in(const std::filesystem::path& data) {
  auto path = (data / "node.sock").string();
  // An abstract name has no length to speak of, and no file that could be left behind.
  return path.size() <= socket_path_max ? "ipc://" + path : "ipc://@troupe-" + sha256_hex(path).substr(0, 32);
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
    out->database_->journal().on_feed(
        [on_feed = std::move(on_feed)](const account_id& account, std::uint64_t) { on_feed(account); });
  read_admins(*out->database_, out->admins_);
  auto blobs = storage::blob_store::open(out->data_ / "blobs");
  if (!blobs)
    return blobs.error();
  out->blobs_ = std::move(*blobs);
  if (with_link)
    out->awake_.emplace(std::chrono::microseconds(config.actors.halt_poll_us));
  use_worker_queue(out->caf_config_);
  // CAF's least is 4, which on a small machine only take turns. One must be left while another is busy.
  out->caf_config_.set("caf.scheduler.max-threads", std::max(2u, std::thread::hardware_concurrency()));
  out->system_ = std::make_unique<caf::actor_system>(out->caf_config_);
  read_capabilities(*out->database_, out->offered_);
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
  read_nodes(*database_, nodes_);
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
  handler.on_message = [cluster](const link::peer& from, wire::from_node&& what, std::size_t bytes) {
    caf::anon_send(cluster->get(), node_said{from.connection, from.public_key, std::move(what), bytes});
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
  auto is_here = [this](const wire::artifact& file) { return blobs_->size(file.sha256) == file.bytes; };
  troupe::app::spawn_actors(*system_, {board_, *database_, admins_, nodes_, offered_, link_.get(), is_here},
                            options_of(config), others_);
  if (link_)
    cluster_.set_value(others_->cluster);
}

void head_core::resume_jobs() {
  resuming_ = std::jthread([this](const std::stop_token& stop) { take_up(stop); });
}

void head_core::take_up(const std::stop_token& stop) {
  caf::scoped_actor self{*system_};
  auto begun =
      read_open_jobs(*database_, [&](queue_stages batch) { // the answer bounds what is in the scheduler's mailbox
        self->request(others_->scheduler, caf::infinite, std::move(batch)).receive([] {}, [](caf::error&) {});
        return !stop.stop_requested();
      });
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
  others_->clear();
  system_->await_all_actors_done();
  link_.reset();     // not before: until its end the cluster sends heartbeats through it
  database_.reset(); // what the journal still has to say, it says while there is a system to say it in
  system_.reset();
}

} // namespace troupe::app
