#include "gpu/node/agent.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"
#include "common/random.hpp"
#include "gpu/link/wakeup.hpp"
#include "gpu/node/device_probe.hpp"
#include "gpu/node/executor.hpp"
#include "gpu/node/folder_lock.hpp"
#include "gpu/wire/fields.hpp"

#include <poll.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <shared_mutex>

namespace troupe::node {

namespace {

constexpr int tick_ms = 100;

class node_agent final : public agent {
public:
  node_agent(agent_options options, folder_lock lock) : options_(std::move(options)), lock_(std::move(lock)) {}
  ~node_agent() override;

  result<void> begin();
  stop_reason run() override;
  void stop() override {
    stopping_ = true;
    wakeup_.ring();
  }

private:
  result<std::vector<work_device>> look_around();
  void introduce(const engines::description& about, engines::engine& engine, work_device* cpu);
  wire::hello hello() const;
  void hear(wire::to_node&& message);
  bool say(wire::from_node&& message);
  void watch_lease();
  bool orphaned() const;

  agent_options options_;
  folder_lock lock_;
  std::string session_ = random_hex(8);
  link::wakeup wakeup_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> lease_ms_{0};
  wire::hello introduction_; // devices and engines
  std::unique_ptr<artifact_cache> cache_;
  std::optional<node_transfers> transfers_;
  std::optional<executor> executor_;
  std::shared_mutex line_mutex_;
  link::node_link* line_ = nullptr;       // what slots may send through
  std::unique_ptr<link::node_link> link_; // last: its thread uses all of the above
};

node_agent::~node_agent() {
  {
    std::unique_lock guard(line_mutex_);
    line_ = nullptr;
  }
  link_.reset();
  if (transfers_)
    transfers_->on_lost();
}

result<void> node_agent::begin() {
  auto devices = look_around();
  if (!devices)
    return devices.error();
  auto cache = artifact_cache::open(options_.folder / "cache", options_.cache_bytes_max);
  if (!cache)
    return cache.error();
  cache_ = std::move(*cache);
  lease_ms_ = options_.lease_ms;
  auto send = [this](wire::from_node&& message) { return say(std::move(message)); };
  transfers_.emplace(*cache_, send);
  executor_options work;
  work.folder = options_.folder;
  work.stuck_ms = options_.stuck_ms;
  work.nice = options_.nice;
  work.reports = options_.reports;
  executor_.emplace(std::move(work), std::move(*devices), *cache_, *transfers_, send);

  link::node_link_options dial{options_.head_endpoints, options_.head_public_key, options_.keys};
  link::node_link_handler handler;
  handler.say_hello = [this] { return hello(); };
  handler.on_message = [this](wire::to_node&& message) { hear(std::move(message)); };
  handler.on_connected = [this](const wire::welcome& terms) {
    log::info("the head welcomed this node as {}", options_.name);
    lease_ms_ = terms.lease_ms;
    transfers_->on_connected();
    executor_->resend();
  };
  handler.on_lost = [this](const std::string&) { transfers_->on_lost(); };
  auto opened = link::node_link::open(dial, std::move(handler));
  if (!opened)
    return opened.error();
  link_ = std::move(*opened);
  std::unique_lock guard(line_mutex_);
  line_ = link_.get();
  return {};
}

result<std::vector<work_device>> node_agent::look_around() {
  auto found = options_.cuda_driver.empty() ? std::vector<probed_device>{} : probe_cuda(options_.cuda_driver);
  found.insert(found.begin(), probe_cpu(options_.slots));
  auto devices = offered_devices(std::move(found), options_.offered);
  if (!devices)
    return devices.error();
  std::vector<engines::description> known;
  for (const auto& engine : options_.engines)
    known.push_back(engine->describe());
  if (auto right = check_engines(known, options_.offered); !right)
    return right.error();
  std::vector<work_device> out;
  work_device* cpu = nullptr;
  out.reserve(devices->size());
  for (const auto& device : *devices) {
    out.push_back({device.name, device.slots, device.threads, {}});
    introduction_.devices.push_back({device.name, device.type, device.model, device.slots, device.vram_mib, {}});
    if (device.type == "cpu")
      cpu = &out.back();
  }
  for (std::size_t i = 0; i < known.size(); ++i)
    introduce(known[i], *options_.engines[i], cpu);
  return out;
}

// The first engine that has an operation does it. All engines of today work on the CPU; none says that it uses CUDA.
void node_agent::introduce(const engines::description& about, engines::engine& engine, work_device* cpu) {
  wire::engine_report entry{about.name, about.version, {}, about.available, about.unavailable_reason, about.needs};
  for (const auto& x : about.operations)
    entry.operations.push_back({x.kind, x.vram_mib, x.preview});
  if (options_.offered.leaves_out(about.name)) {
    entry.available = false;
    entry.reason = "its node does not offer it (engines.disabled)";
  } else if (!about.available) {
    log::warn("the engine {} cannot work here: {}", about.name, about.unavailable_reason);
  }
  for (const auto& x : about.operations)
    if (entry.available && cpu != nullptr && !options_.offered.leaves_out(x.kind) &&
        cpu->operations.emplace(x.kind, work_device::operation{&engine, x.preview}).second)
      introduction_.devices.front().kinds.push_back(x.kind);
  introduction_.engines.push_back(std::move(entry));
}

wire::hello node_agent::hello() const {
  auto out = introduction_;
  out.node = options_.name;
  out.session = session_;
  executor_->describe(out);
  return out;
}

bool node_agent::say(wire::from_node&& message) {
  std::shared_lock guard(line_mutex_);
  return line_ && line_->send(std::move(message));
}

void node_agent::hear(wire::to_node&& message) {
  if (auto* work = std::get_if<wire::assign>(&message))
    executor_->assign(std::move(*work));
  else if (const auto* unwanted = std::get_if<wire::cancel>(&message))
    executor_->cancel(unwanted->ref);
  else if (const auto* noted = std::get_if<wire::acknowledge>(&message))
    executor_->acknowledge(noted->ref);
  else if (auto* piece = std::get_if<wire::chunk>(&message))
    transfers_->on_chunk(std::move(*piece));
  else if (auto* ready = std::get_if<wire::put_ready>(&message))
    transfers_->on_put_ready(std::move(*ready));
}

stop_reason node_agent::run() {
  auto reason = stop_reason::asked;
  while (!stopping_) {
    pollfd ring{wakeup_.fd(), POLLIN, 0};
    ::poll(&ring, 1, tick_ms);
    wakeup_.clear();
    executor_->tick();
    watch_lease();
    if (orphaned()) {
      log::warn("no head was heard for {} ms; this node ends", options_.exit_when_orphaned_ms);
      reason = stop_reason::orphaned;
      break;
    }
  }
  say(wire::goodbye{reason == stop_reason::asked ? "the node stops" : "no head was heard"});
  {
    std::unique_lock guard(line_mutex_);
    line_ = nullptr; // nothing comes after a goodbye
  }
  executor_->abandon_all("the node stops");
  for (auto until = steady_ms() + options_.stuck_ms + 1000; executor_->held() > 0 && steady_ms() < until;) {
    executor_->tick(); // an engine that does not stop ends the process here
    ::poll(nullptr, 0, 10);
  }
  return reason;
}

// Out of touch for longer than the lease, the head has given this node's attempts to others.
void node_agent::watch_lease() {
  if (!link_->connected() && steady_ms() - link_->heard_at() > lease_ms_ && executor_->held() > 0)
    executor_->abandon_all("the head was not heard for longer than the lease");
}

bool node_agent::orphaned() const {
  return options_.exit_when_orphaned_ms > 0 && steady_ms() - link_->heard_at() > options_.exit_when_orphaned_ms;
}

} // namespace

result<std::unique_ptr<agent>> agent::open(agent_options options) {
  if (options.name.empty() || options.name.size() > wire::limits.id_bytes || !wire::is_utf8(options.name))
    return fail("malformed", "a node's name has 1 to " + std::to_string(wire::limits.id_bytes) + " bytes of UTF-8");
  auto lock = folder_lock::take(options.folder);
  if (!lock)
    return lock.error();
  auto made = std::make_unique<node_agent>(std::move(options), std::move(*lock));
  if (auto begun = made->begin(); !begun)
    return begun.error();
  return std::unique_ptr<agent>(std::move(made));
}

} // namespace troupe::node
