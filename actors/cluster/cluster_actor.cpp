#include "actors/cluster/cluster_actor.hpp"

#include "common/log.hpp"
#include "common/text.hpp"
#include "workflows/stage_kinds.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace troupe {

namespace {

constexpr auto tick_every = std::chrono::milliseconds(100);
constexpr std::int64_t stands_still_from_ms = 1'000; // a program that was stopped, a machine that was moved

/// Of a report that an attempt has ended: which, and on which device.
std::optional<std::pair<const wire::attempt_ref*, std::string*>> ended_of(wire::from_node& what) {
  if (auto r = std::get_if<wire::finished>(&what))
    return std::pair{&std::as_const(r->ref), &r->device};
  if (auto r = std::get_if<wire::failed>(&what))
    return std::pair{&std::as_const(r->ref), &r->device};
  return std::nullopt;
}

/// A name is shown in tables: one line that drives no terminal. "" for one that is.
std::string objection_to_text(std::string_view name) {
  auto shown = without_controls(name);
  return shown == name ? "" : "a name has control characters: " + shown;
}

/// The admin API names a device in a path, where "." and ".." mean something else; "" for a name that it can say.
std::string objection_to_device(const std::string& name) {
  for (std::size_t from = 0; from <= name.size();) {
    auto end = std::min(name.find_first_of("/\\", from), name.size());
    if (auto part = name.substr(from, end - from); part == "." || part == "..")
      return "no part of a device's name can be '.' or '..': " + without_controls(name);
    from = end + 1;
  }
  return objection_to_text(name);
}

/// What else is shown.
std::vector<std::string_view> texts_of(const wire::hello& hello) {
  std::vector<std::string_view> out;
  for (const auto& d : hello.devices) {
    out.insert(out.end(), {d.type, d.model});
    out.insert(out.end(), d.kinds.begin(), d.kinds.end());
  }
  for (const auto& e : hello.engines) {
    out.insert(out.end(), {e.name, e.version});
    for (const auto& o : e.operations)
      out.push_back(o.kind);
  }
  return out;
}

const wire::attempt_ref* ref_of(const wire::from_node& what) {
  if (auto r = std::get_if<wire::progress>(&what))
    return &r->ref;
  if (auto r = std::get_if<wire::preview>(&what))
    return &r->ref;
  return nullptr;
}

} // namespace

cluster_actor::cluster_actor(caf::actor_config& config, actor_board& board, address_book_ptr others,
                             link::head_link& link, node_registry& registry, capabilities& offered,
                             storage::journal& journal, cluster_options options)
  : visible(config, board, "cluster", "main", ""), all_actors_(board), others_(std::move(others)), link_(link),
    registry_(registry), offered_(offered), journal_(journal), options_(std::move(options)) {}

caf::behavior cluster_actor::make_behavior() {
  delayed_send(this, tick_every, cluster_tick{0});
  return {
      on(&cluster_actor::said),    on(&cluster_actor::closed),         on(&cluster_actor::tick),
      on(&cluster_actor::nodes),   on(&cluster_actor::devices),        on(&cluster_actor::run),
      on(&cluster_actor::stop),    on(&cluster_actor::asked),          on(&cluster_actor::inspect_self),
      on(&cluster_actor::allow),   on(&cluster_actor::remove),         on(&cluster_actor::set),
      on(&cluster_actor::written), on(&cluster_actor::unknown_fields), on(&cluster_actor::faulty),
  };
}

// -- what nodes say ---------------------------------------------------------------------------------------------------

caf::result<void> cluster_actor::said(node_said& m) {
  heard_ = std::shared_ptr<void>(nullptr, [this, key = m.public_key, bytes = m.bytes](void*) {
    if (link_)
      link_->handled(key, bytes);
  });
  hear(m);
  heard_.reset();
  return {};
}

template <class Message>
void cluster_actor::pass_on(const caf::actor& to, Message message) {
  request(to, caf::infinite, std::move(message)).then([kept = heard_] {}, [kept = heard_](caf::error&) {});
}

void cluster_actor::hear(node_said& m) {
  if (auto hello = std::get_if<wire::hello>(&m.what)) {
    welcome(m, *hello);
    return;
  }
  auto who = node_of(m.connection);
  if (who == nullptr) {
    link_->close(m.connection, "say hello first");
    return;
  }
  who->heard_at = steady_ms();
  if (auto bye = std::get_if<wire::goodbye>(&m.what)) {
    lose(*who, "it said goodbye: " + bye->reason, true);
  } else if (ended_of(m.what)) {
    report(*who, std::move(m.what));
  } else if (auto ref = ref_of(m.what); ref != nullptr && who->given.contains(*ref)) {
    // Progress names no device; its job knows whether the attempt is the current one.
    auto told = stage_report{ref->job, who->name + "/" + who->given.at(*ref), std::move(m.what)};
    request(others_->directory, caf::infinite, routed(std::move(told)))
        .then([kept = heard_](description&) {}, [kept = heard_](caf::error&) {});
  }
}

// Where the attempt was given to counts, and not the name under which its end is told.
void cluster_actor::report(node& from, wire::from_node&& what) {
  auto [ref, device] = *ended_of(what);
  if (auto given = from.given.find(*ref); given != from.given.end()) {
    *device = given->second;
    from.given.erase(given);
  }
  if (auto target = this->device(from.name + "/" + *device, false)) {
    pass_on(target, device_report{std::move(what)});
    return;
  }
  log::warn("node {} tells the end of attempt {} of stage {} of job {} on {}, a device that it does not have; dropped",
            from.name, ref->attempt, ref->stage, ref->job, *device);
  link_->send(from.connection, wire::acknowledge{*ref});
}

std::string cluster_actor::objection_to(const wire::hello& hello) const {
  if (!wire::common_version(options_.versions, {hello.oldest_version, hello.version}))
    return "this head speaks " + wire::to_string(options_.versions) + " of the node protocol, the node " +
           wire::to_string({hello.oldest_version, hello.version}) + "; bring both to the same release";
  std::set<std::string> names;
  for (const auto& d : hello.devices)
    if (!names.insert(d.name).second)
      return "it lists the device " + without_controls(d.name) + " twice";
  for (const auto& r : hello.unacknowledged)
    names.insert(r.device);
  for (const auto& r : hello.unacknowledged_failures)
    names.insert(r.device);
  if (names.size() > options_.devices_max)
    return "it speaks of " + std::to_string(names.size()) + " devices; a node has at most " +
           std::to_string(options_.devices_max);
  for (const auto& name : names)
    if (auto why = objection_to_device(name); !why.empty())
      return why;
  for (auto text : texts_of(hello))
    if (auto why = objection_to_text(text); !why.empty())
      return why;
  return {};
}

void cluster_actor::turn_away(const std::string& name, const std::string& connection, const std::string& why) {
  if (auto known = troubles_.find(name);
      known == troubles_.end() || known->second.what != why) // it asks every few seconds
    log::error("node {} is refused: {}", name, why);
  note_trouble(name, why);
  link_->close(connection, why);
}

void cluster_actor::welcome(node_said& m, wire::hello& hello) {
  auto name = registry_.name_of(m.public_key);
  if (!name) {
    link_->close(m.connection, "this key is not allowed");
    return;
  }
  if (auto why = objection_to(hello); !why.empty()) {
    turn_away(*name, m.connection, why);
    return;
  }
  auto& n = nodes_[*name];
  if (n.connected && n.connection == m.connection) { // it, or its line, may say what was before it was given work
    turn_away(*name, m.connection, "it says hello a second time on one connection; dial anew, and say it there");
    return;
  }
  auto same_process = n.session == hello.session;
  if (n.connected && n.connection != m.connection) {
    link_->close(n.connection, "the node has dialed anew");
    if (!same_process) // started again, or: two processes have one key, and push each other out
      log::warn("node {}: another process says hello with its key; the earlier one is cut off", *name);
  }
  by_connection_.erase(n.connection);
  by_connection_[m.connection] = *name;
  n.name = *name;
  n.public_key = m.public_key;
  n.connection = m.connection;
  n.session = hello.session;
  n.hello = ++hellos_;
  n.heard_at = steady_ms();
  if (!n.connected || !same_process)
    n.joined_at = now_ms();
  n.connected = true;
  n.version = *wire::common_version(options_.versions, {hello.oldest_version, hello.version});
  n.unknown_fields.clear();
  link_->send(m.connection, wire::welcome{n.version, options_.heartbeat_ms, options_.lease_ms});
  take_devices(n, hello);
  log::info("node {} is connected: {} devices, {} engines, {} stages running", n.name, n.devices.size(),
            n.engines.size(), hello.running.size());
}

void cluster_actor::take_devices(node& n, wire::hello& hello) {
  std::set<std::string> listed, missing;
  for (const auto& d : hello.devices)
    listed.insert(d.name);
  auto note_missing = [&](const std::string& device) {
    if (!listed.contains(device))
      missing.insert(device);
  };
  for (const auto& d : n.devices)
    note_missing(d.name);
  for (const auto& r : hello.unacknowledged)
    note_missing(r.device);
  for (const auto& r : hello.unacknowledged_failures)
    note_missing(r.device);
  n.devices = std::move(hello.devices);
  n.engines = std::move(hello.engines);
  n.given.clear();
  for (const auto& r : hello.running)
    if (listed.contains(r.device))
      n.given[r.ref] = r.device;
    else
      link_->send(n.connection, wire::cancel{r.ref}); // what is not there runs nothing
  const auto needs = vram_needs(n);
  for (const auto& d : n.devices)
    take_device(n, d, hello, needs);
  for (const auto& device : missing)
    drop_device(n, device, hello);
  publish_capabilities_soon();
}

bool cluster_actor::runs_on(const wire::device_report& device, const std::string& kind) {
  return std::find(device.kinds.begin(), device.kinds.end(), kind) != device.kinds.end();
}

// What its engines say; where several are of a kind, the most, as the node chooses among them. No engine needs more
// than the largest device that it runs on has.
std::map<std::string, std::uint32_t> cluster_actor::vram_needs(const node& n) {
  std::map<std::string, std::uint32_t> out;
  for (const auto& e : n.engines)
    for (const auto& o : e.operations) {
      std::uint32_t largest = 0;
      for (const auto& d : n.devices)
        if (e.available && runs_on(d, o.kind))
          largest = std::max(largest, d.vram_mib);
      if (auto vram_mib = std::min(o.vram_mib, largest); vram_mib > 0)
        out[o.kind] = std::max(out[o.kind], vram_mib);
    }
  return out;
}

void cluster_actor::take_device(node& n, const wire::device_report& d, const wire::hello& hello,
                                const std::map<std::string, std::uint32_t>& needs) {
  auto full = n.name + "/" + d.name;
  introduce(n, d.name, device(full, true), hello, true);
  auto type = d.model.empty() ? d.type : d.type + "/" + d.model;
  // What needs memory of a GPU finds that of the machine on a CPU; the scheduler does not count it.
  auto vram_mib = d.type == "cpu" ? scheduling::vram_unbounded : d.vram_mib;
  std::vector<std::string> kinds; // the scheduler remembers each that it hears
  std::copy_if(d.kinds.begin(), d.kinds.end(), std::back_inserter(kinds),
               [](const auto& kind) { return workflow::find_stage_kind(kind) != nullptr; });
  device_joined joined{
      {device_id{full}, node_id{n.name}, type, std::move(kinds), d.slots, vram_mib, {}, session_of(full), n.hello}};
  auto wanted = wanted_state(registry_.find(n.name).value_or(node_record{}), d.name);
  joined.what.needs = needs;
  joined.what.draining = wanted != enabled;
  joined.what.quarantined = wanted == quarantined;
  auto hold = [&](const auto& all) { // a result, too: else its stage, where it waits again, is given out once more
    for (const auto& r : all)
      if (r.device == d.name)
        joined.what.running.push_back({{job_id{r.ref.job}, r.ref.stage}, r.ref.attempt});
  };
  hold(hello.running);
  hold(hello.unacknowledged);
  tell(others_->scheduler, std::move(joined));
}

// It is there no more. What ended on it before still counts; its actor tells the scheduler when it has passed that on.
void cluster_actor::drop_device(node& n, const std::string& name, const wire::hello& hello) {
  auto full = n.name + "/" + name;
  auto target = device(full, true);
  introduce(n, name, target, hello, false);
  tell(target, device_lost{"the node has no such device any more", true});
  devices_.erase(full);
  sessions_.erase(full);
}

void cluster_actor::introduce(node& n, const std::string& device, const caf::actor& to, const wire::hello& hello,
                              bool is_listed) {
  device_connected message{n.connection, {}, session_of(n.name + "/" + device), n.hello};
  auto add = [&](const auto& all, bool ended) {
    for (const auto& r : all)
      if (r.device == device)
        message.attempts.push_back({r.ref.job, r.ref.stage, r.ref.attempt, ended});
  };
  if (is_listed)
    add(hello.running, false);
  add(hello.unacknowledged, true);
  add(hello.unacknowledged_failures, true);
  tell(to, std::move(message));
  for (const auto& r : hello.unacknowledged)
    if (r.device == device)
      pass_on(to, device_report{r});
  for (const auto& r : hello.unacknowledged_failures)
    if (r.device == device)
      pass_on(to, device_report{r});
}

caf::result<void> cluster_actor::closed(connection_closed& m) {
  auto who = node_of(m.connection);
  auto name = who != nullptr ? std::optional(who->name) : registry_.name_of(m.public_key);
  if (!name)
    return {};
  // It may dial again at once and take its stages back; if not, the time-out finds it.
  log::warn("node {}: the connection is closed: {}", *name, m.reason);
  note_trouble(*name, m.reason);
  return {};
}

caf::result<void> cluster_actor::unknown_fields(unknown_fields_said& m) {
  auto who = node_of(m.connection);
  if (who == nullptr)
    return {};
  log::warn("node {} says fields that this head does not know: {}; they are ignored", who->name, m.fields);
  who->unknown_fields += (who->unknown_fields.empty() ? "" : ", ") + m.fields;
  return {};
}

void cluster_actor::note_trouble(const std::string& name, std::string what) {
  troubles_[name] = {std::move(what), now_ms()};
}

caf::result<void> cluster_actor::tick(cluster_tick& m) {
  auto now = steady_ms();
  // What a node said while this program stood still is yet to be heard: that time is nobody's silence.
  auto stood_still = ticked_at_ == 0 ? 0 : now - ticked_at_ - tick_every.count();
  ticked_at_ = now;
  if (stood_still <= stands_still_from_ms)
    stood_still = 0;
  else
    log::warn("the head stood still for {} ms: nodes are not taken for lost by that", stood_still);
  for (auto& [name, n] : nodes_) {
    if (!n.connected)
      continue;
    n.heard_at = std::min(now, n.heard_at + stood_still);
    if (now - n.heard_at > options_.node_timeout_ms)
      lose(n, "it was silent for " + std::to_string(now - n.heard_at) + " ms");
  }
  if (started_at_ != 0 && now - started_at_ > options_.return_ms) {
    started_at_ = 0;
    publish_capabilities(); // who has not come back by now is not counted on
  }
  if (m.at <= now) {
    for (auto& [name, n] : nodes_)
      if (n.connected)
        link_->send(n.connection, wire::head_heartbeat{now_ms()});
    m.at = now + options_.heartbeat_ms;
  }
  delayed_send(this, tick_every, cluster_tick{m.at});
  return {};
}

void cluster_actor::lose(node& n, const std::string& why, bool left) {
  if (left)
    log::info("node {} has left: {}", n.name, why);
  else
    log::warn("node {} is lost: {}; its stages run elsewhere", n.name, why);
  n.connected = false;
  n.given.clear();
  by_connection_.erase(n.connection);
  note_trouble(n.name, why);
  link_->close(n.connection, "lost: " + why);
  for (const auto& d : n.devices) {
    auto full = n.name + "/" + d.name;
    if (auto target = device(full, false))
      tell(target, device_lost{why});
    tell(others_->scheduler, device_left{full});
    sessions_.erase(full);
  }
  publish_capabilities_soon();
}

// -- what jobs say to devices -----------------------------------------------------------------------------------------

caf::result<void> cluster_actor::run(run_stage& m) {
  auto target = device(m.device, false);
  if (!target)
    return {};
  auto slash = m.device.find('/');
  if (auto n = nodes_.find(m.device.substr(0, slash)); n != nodes_.end() && n->second.connected)
    n->second.given[m.what.ref] = m.device.substr(slash + 1);
  tell(target, std::move(m));
  return {};
}

caf::result<void> cluster_actor::stop(stop_stage& m) {
  if (auto target = device(m.device, false))
    tell(target, std::move(m));
  else
    tell(others_->scheduler,
         attempt_over{{{job_id{m.job}, m.stage}, m.attempt, device_id{m.device}, scheduling::outcome::cancelled, 0}});
  return {};
}

caf::result<description> cluster_actor::asked(attempt_asked& m) {
  if (auto target = device(m.device, false))
    return delegate(target, std::move(m)), caf::delegated<description>{};
  return description{json::object()};
}

// -- what operators decide --------------------------------------------------------------------------------------------

caf::result<description> cluster_actor::allow(allow_node& m) {
  auto known = registry_.find(m.name);
  if (m.name == local_node)
    return refuse(refusal::conflict, "the local node's key is in the data directory; node.local says whether it runs");
  if (known && !m.again)
    return refuse(refusal::exists, "there is a node of that name; rotate its key, or remove it first");
  if (!known && m.again)
    return refuse(refusal::not_found, "there is no node of that name");
  auto record = known.value_or(node_record{});
  record.public_key = m.public_key;
  if (!known)
    record.added_at = m.at;
  return write({m.name, std::move(record)}, std::move(m.rows));
}

caf::result<description> cluster_actor::remove(remove_node& m) {
  if (m.name == local_node)
    return refuse(refusal::conflict, "the local node belongs to the head: set node.local = false and restart it");
  if (!registry_.find(m.name))
    return refuse(refusal::not_found, "there is no node of that name");
  return write({m.name, std::nullopt, devices_of(m.name)}, std::move(m.rows));
}

caf::result<description> cluster_actor::set(set_state& m) {
  auto record = registry_.find(m.node);
  if (!record)
    return refuse(refusal::not_found, "there is no node of that name");
  auto devices = devices_of(m.node);
  if (!m.device.empty() && !devices.contains(m.device))
    return refuse(refusal::not_found, "the node has no device of that name");
  if (m.device.empty())
    record->state = m.state;
  else if (m.state == enabled)
    record->devices.erase(m.device);
  else
    record->devices[m.device] = m.state;
  if (!m.device.empty())
    devices = {m.device};
  change what{m.node, std::move(record), std::move(devices)};
  if (m.state == enabled)
    what.enabled = m.device;
  return write(std::move(what), std::move(m.rows));
}

caf::result<description> cluster_actor::write(change what, std::vector<storage::row> rows) {
  for (const auto& [ticket, other] : changes_)
    if (other.name == what.name)
      return refuse(refusal::conflict, "another change of this node is being written; ask again");
  storage::batch batch;
  batch.rows = std::move(rows);
  auto value = what.record ? std::optional(pack(json(*what.record))) : std::nullopt;
  batch.rows.push_back({storage::table::nodes, what.name, std::move(value), false});
  auto ticket = next_ticket_++;
  auto asker = make_response_promise<description>();
  what.asker = asker;
  changes_[ticket] = std::move(what);
  journal_.commit(std::move(batch), [self = caf::actor_cast<caf::actor>(this), ticket](storage::commit_status status) {
    caf::anon_send(self, cluster_written{ticket, status == storage::commit_status::ok});
  });
  return asker;
}

caf::result<void> cluster_actor::written(cluster_written& m) {
  auto found = changes_.find(m.ticket);
  if (found == changes_.end())
    return {};
  auto what = std::move(found->second);
  changes_.erase(found);
  if (!m.ok) {
    what.asker.deliver(refuse(refusal::unavailable, "the disk did not take it; nothing was changed"));
    return {};
  }
  apply_record(what.name, what.record);
  auto forgiven = what.enabled || !what.record;
  for (const auto& device : what.devices) {
    auto wanted = what.record ? wanted_state(*what.record, device) : enabled;
    if (forgiven)
      faulty_.erase(what.name + "/" + device); // the scheduler will say so, but who asks now is to see it
    tell(others_->scheduler, device_wanted{what.name + "/" + device, wanted, forgiven});
  }
  auto at = nodes_.find(what.name);
  auto answer = at == nodes_.end() ? absent_json(what.name) : node_json(at->second);
  if (what.enabled)
    answer["held_back"] = held_back(what.name, *what.enabled);
  what.asker.deliver(description{std::move(answer)});
  return {};
}

caf::result<void> cluster_actor::faulty(device_quarantined& m) {
  if (m.why.empty())
    faulty_.erase(m.device);
  else
    faulty_[m.device] = m.why;
  return {};
}

void cluster_actor::apply_record(const std::string& name, const std::optional<node_record>& record) {
  auto known = nodes_.find(name);
  bool other_key = !record || (known != nodes_.end() && record->public_key != known->second.public_key);
  if (record)
    registry_.put(name, *record);
  else
    registry_.remove(name); // first: it could dial again at once
  if (known == nodes_.end())
    return;
  if (other_key && known->second.connected)
    lose(known->second, record ? "its key was changed" : "it was removed");
  if (!record) {
    nodes_.erase(known);
    troubles_.erase(name);
  }
}

std::string cluster_actor::wanted_state(const node_record& record, const std::string& device) {
  auto found = record.devices.find(device);
  return found != record.devices.end() ? found->second : record.state;
}

std::set<std::string> cluster_actor::devices_of(const std::string& name) const {
  std::set<std::string> out;
  if (auto found = nodes_.find(name); found != nodes_.end())
    for (const auto& d : found->second.devices)
      out.insert(d.name);
  if (auto record = registry_.find(name))
    for (const auto& [device, state] : record->devices)
      out.insert(device);
  auto prefix = name + "/";
  for (auto at = faulty_.lower_bound(prefix); at != faulty_.end() && at->first.starts_with(prefix); ++at)
    out.insert(at->first.substr(prefix.size()));
  return out;
}

// -- what is looked up ------------------------------------------------------------------------------------------------

cluster_actor::node* cluster_actor::node_of(const std::string& connection) {
  auto found = by_connection_.find(connection);
  return found == by_connection_.end() ? nullptr : &nodes_.at(found->second);
}

caf::actor cluster_actor::device(const std::string& name, bool make) {
  auto found = devices_.find(name);
  if (found != devices_.end())
    return found->second;
  if (!make)
    return nullptr;
  auto made = spawn<device_actor, caf::linked>(std::ref(all_actors_), others_, std::ref(*link_), name, options_.is_here,
                                               options_.is_job);
  devices_.emplace(name, made);
  return made;
}

std::uint64_t cluster_actor::session_of(const std::string& device) {
  auto [known, fresh] = sessions_.try_emplace(device, sessions_begun_ + 1);
  sessions_begun_ += fresh ? 1 : 0;
  return known->second;
}

} // namespace troupe
