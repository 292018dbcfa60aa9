#include "tests/simulation/auditor.hpp"

#include <algorithm>
#include <functional>

namespace troupe::simulation {

using storage::table;

namespace {

constexpr std::size_t history_max = 512;
constexpr std::uint32_t lost_nodes_max = 10, remade_max = 5; // docs/scheduling.md
constexpr micros backoff_ms_max = 300'000;

template <class Value>
void note(std::deque<std::pair<micros, Value>>& history, micros now, Value value) {
  history.emplace_back(now, std::move(value));
  if (history.size() > history_max)
    history.pop_front();
}

/// The value was true at some moment since `asked_at`.
template <class Value>
bool was_true(const std::deque<std::pair<micros, Value>>& history, micros asked_at, const Value& value) {
  for (auto one = history.rbegin(); one != history.rend(); ++one) {
    if (one->second == value)
      return true;
    if (one->first < asked_at)
      return false; // it held from before the question on
  }
  return history.size() >= history_max;
}

} // namespace

json auditor::decode(const std::string& packed) {
  return packed.empty() ? json() : json::from_msgpack(packed.begin() + 1, packed.end(), true, false);
}

void auditor::complain(const std::string& what) {
  if (!complaint_.empty())
    return;
  complaint_ = what;
  story_.say("VIOLATION: {}", what);
}

// -- what becomes durable ---------------------------------------------------------------------------------------------

void auditor::on_batch(const storage::batch& what) {
  ++counted_.batches;
  touched_jobs_.clear();
  touched_accounts_.clear();
  for (const auto& a : what.appends) {
    auto slash = a.actor.find('/');
    auto kind = a.actor.substr(0, slash), name = a.actor.substr(slash + 1);
    for (const auto& packed : a.events) {
      story_.mix(packed);
      if (kind == "ledger")
        on_transfer(accounts_[name], name, decode(packed));
      else if (kind == "job")
        on_job_event(name, decode(packed));
    }
  }
  for (const auto& r : what.rows)
    on_row(r);
  for (const auto& f : what.feeds) {
    auto& of = accounts_[f.account.value];
    if (f.first_id != of.fed + 1)
      complain(fmt::format("the log of {} goes on with {} after {}", f.account.value, f.first_id, of.fed));
    for (const auto& entry : f.entries)
      on_entry(f.account.value, entry);
  }
  for (const auto& name : touched_jobs_)
    check_job(name);
  for (const auto& name : touched_accounts_)
    check_account(name);
}

void auditor::on_transfer(account_record& of, const std::string& name, const json& e) {
  ++counted_.transfers;
  touched_accounts_.insert(name);
  auto id = e.value("id", std::uint64_t{0});
  auto kind = e.value("kind", std::string{}), job_name = e.value("job", std::string{});
  auto amount = e.value("amount", std::int64_t{0});
  auto reference = e.value("reference", std::string{});
  if (id != ++of.transfers)
    complain(fmt::format("transfer {} of {} follows {}", id, name, of.transfers - 1));
  if (amount < 0)
    complain(fmt::format("transfer {} of {} moves {}", id, name, amount));
  static const std::map<std::string, std::pair<const char*, const char*>> ways = {
      {"hold", {"wallet", "held"}},         {"capture", {"held", "revenue"}},
      {"release", {"held", "wallet"}},      {"settle", {"held", "carry"}},
      {"meter", {"carry", "revenue"}},      {"grant", {"grants", "wallet"}},
      {"allowance", {"grants", "wallet"}},  {"topup", {"payments", "wallet"}},
      {"reversal", {"wallet", "payments"}}, {"reinstatement", {"payments", "wallet"}},
      {"refund", {"refunds", "wallet"}}};
  auto way = ways.find(kind);
  if (way == ways.end())
    return complain(fmt::format("transfer {} of {} is of kind '{}'", id, name, kind));
  of.books[way->second.first] -= amount;
  of.books[way->second.second] += amount;
  story_.say("ledger {}: {} {} {} {}", name, kind, amount, job_name, reference);
  if (!job_name.empty())
    touched_jobs_.insert(job_name);
  if (kind == "hold") {
    if (!of.held_once.insert(job_name).second)
      complain(fmt::format("job {} is held for a second time", job_name));
    of.holds[job_name].left = amount;
    of.balance_after_hold[job_name] = of.books["wallet"];
    if (auto known = promises_.find(job_name); known != promises_.end() && known->second.price != amount)
      complain(fmt::format("job {} was quoted {} and holds {}", job_name, known->second.price, amount));
  } else if (kind == "capture" || kind == "release") {
    auto open = of.holds.find(job_name);
    if (open == of.holds.end())
      return complain(fmt::format("a {} for job {}, which holds nothing", kind, job_name));
    if (kind == "release") {
      if (amount != open->second.left)
        complain(fmt::format("job {} releases {} of {}", job_name, amount, open->second.left));
      of.holds.erase(open);
      return;
    }
    open->second.left -= amount;
    if (open->second.left < 0)
      complain(fmt::format("job {} is charged {} more than it held", job_name, -open->second.left));
    if (!open->second.captured.insert(e.value("stage", std::string{})).second)
      complain(fmt::format("a stage of job {} is charged twice", job_name));
    jobs_[job_name].captured += amount;
  } else if (kind == "allowance") {
    of.allowances[e.value("period", std::string{})] += amount;
  }
  if (!reference.empty()) {
    auto key = kind + "/" + reference;
    if (!of.paid.emplace(key, amount).second)
      complain(fmt::format("{} of {} is booked twice", key, name));
    auto asked = of.asked.find(key);
    if (asked == of.asked.end())
      complain(fmt::format("{} of {} is booked, and nobody asked for it", key, name));
    else if (kind != "reversal" && kind != "reinstatement" && asked->second != amount)
      complain(fmt::format("{} of {} was asked for {} and moves {}", key, name, asked->second, amount));
    else if (amount > asked->second)
      complain(fmt::format("{} of {} was asked for {} and moves {}", key, name, asked->second, amount));
  }
}

void auditor::check_account(const std::string& name) {
  auto& of = accounts_[name];
  std::int64_t sum = 0, held = 0;
  for (const auto& [book, amount] : of.books)
    sum += amount;
  for (const auto& [job_name, open] : of.holds)
    held += open.left;
  if (sum != 0)
    complain(fmt::format("the books of {} sum up to {}", name, sum));
  if (of.books["wallet"] < 0 || of.books["held"] < 0)
    complain(fmt::format("{} has {} and holds {}", name, of.books["wallet"], of.books["held"]));
  if (held != of.books["held"])
    complain(fmt::format("{} holds {}, its jobs {}", name, of.books["held"], held));
  note(of.history, time_.now(), std::pair{of.books["wallet"], of.books["held"]});
}

// -- jobs -------------------------------------------------------------------------------------------------------------

void auditor::on_job_event(const std::string& name, const json& e) {
  touched_jobs_.insert(name);
  auto type = e.value("t", std::string{});
  if (type == "submitted")
    return on_submitted(name, e);
  auto found = jobs_.find(name);
  if (found == jobs_.end())
    return complain(fmt::format("job {} goes on and has never begun", name));
  if (type == "forgotten") {
    if (!found->second.ended)
      complain(fmt::format("job {} is forgotten before it has ended", name));
    found->second.forgotten = true;
    return;
  }
  auto what = e.at("what");
  auto fault = what.value("fault", std::string{});
  if ((fault == "device" || fault == "out_of_memory") && what["index"] < found->second.stages.size())
    found->second.stages[what["index"].get<std::size_t>()].failed_on.insert(e.value("device", std::string{}));
  advance(found->second, name, what);
}

void auditor::on_submitted(const std::string& name, const json& e) {
  ++counted_.jobs;
  if (jobs_.contains(name))
    return complain(fmt::format("job {} is submitted twice", name));
  auto known = promises_.find(name);
  if (known == promises_.end())
    return complain(fmt::format("job {} was never asked for", name));
  if (known->second.refused)
    complain(fmt::format("job {} was refused and is there", name));
  job_record j;
  j.account = e.at("account").get<std::string>();
  for (const auto& planned : e.at("plan").at("stages")) {
    stage_record s;
    s.price = planned.at("price").get<std::int64_t>();
    s.attempts_max = planned.at("attempts").get<std::uint32_t>();
    s.timeout_s = planned.at("timeout_s").get<std::uint32_t>();
    s.backoff_ms = planned.at("backoff_ms").get<std::uint32_t>();
    s.kind = planned.at("kind").get<std::string>();
    s.needs = planned.at("dependencies").get<std::vector<std::uint32_t>>();
    j.price += s.price;
    j.stages.push_back(std::move(s));
  }
  if (j.price != known->second.price)
    complain(fmt::format("job {} was quoted {} and costs {}", name, known->second.price, j.price));
  on_workflow_told(name, e.at("workflow"), e.at("version"), j.stages.size());
  story_.say("job {} of {} is there: {} stages, {}", name, j.account, j.stages.size(), j.price);
  note(j.history, time_.now(), std::string{"queued"});
  ++open_;
  jobs_[name] = std::move(j);
}

void auditor::advance(job_record& j, const std::string& name, const json& what) {
  auto event = what.at("e").get<std::string>();
  auto index = what.value("index", std::uint32_t{0});
  auto attempt = what.value("attempt", std::uint64_t{0});
  story_.say("job {}: {} stage {} attempt {} {}", name, event, index, attempt, what.value("fault", std::string{}));
  if (event == "started") {
    if (std::exchange(j.begun, true))
      complain(fmt::format("job {} begins twice", name));
    return;
  }
  if (event == "cancel_asked") {
    if (j.ended)
      return complain(fmt::format("job {} has ended and is cancelled", name));
    return end(j, "cancelled");
  }
  if (index >= j.stages.size())
    return complain(fmt::format("job {} has no stage {}", name, index));
  auto& s = j.stages[index];
  if (event == "artifact_lost" || event == "rerun") {
    if (event == "rerun" ? j.status != "succeeded" : j.ended || s.now != at::succeeded)
      return complain(fmt::format("job {}: {} of stage {} while it is {}", name, event, index, j.status));
    if (event == "rerun")
      j.ended = false, ++open_;
    j.status = "running";
    s.now = at::waiting;
    s.output.clear();
    for (auto& other : j.stages)
      if (std::find(other.needs.begin(), other.needs.end(), index) != other.needs.end() && other.now != at::succeeded)
        other.now = at::waiting, other.ended = other.attempt;
    if (++s.remade > remade_max)
      end(j, "failed");
    return;
  }
  if (j.ended)
    return complain(fmt::format("job {} has ended and goes on with {} of stage {}", name, event, index));
  if (s.now == at::succeeded)
    return complain(fmt::format("job {}: {} of stage {}, which has succeeded", name, event, index));
  for (auto needed : s.needs)
    if (j.stages[needed].now != at::succeeded)
      return complain(fmt::format("job {}: {} of stage {} before stage {} has succeeded", name, event, index, needed));
  bool known = attempt == s.attempt, fails = event == "stage_failed";
  bool comes_back = known && s.is_lost() && !fails;
  bool repeats = known && !comes_back && (event == "stage_started" || s.is_lost());
  if (attempt <= s.ended || attempt < s.attempt || repeats)
    return complain(fmt::format("job {}: {} of stage {} by the stale attempt {}; {} is known, {} has ended", name,
                                event, index, attempt, s.attempt, s.ended));
  s.attempt = attempt;
  j.status = "running";
  counted_.came_back += comes_back ? 1 : 0;
  if (event == "stage_started") {
    counted_.attempts += comes_back ? 0 : 1;
    s.now = at::running;
    return;
  }
  auto fault = what.value("fault", std::string{});
  if (fault != "lost_node")
    s.ended = attempt;
  if (event == "stage_succeeded") {
    s.now = at::succeeded;
    s.paid = true;
    for (const auto& output : what.at("outputs"))
      s.output = output.at("sha256").get<std::string>();
    if (std::all_of(j.stages.begin(), j.stages.end(), [](const auto& one) { return one.now == at::succeeded; }))
      end(j, "succeeded");
    return;
  }
  if (fault == "stopped") {
    s.now = at::waiting;
    return;
  }
  bool forgiven = (fault == "lost_node" || fault == "cancelled") && s.lost < lost_nodes_max;
  s.now = at::waiting;
  ++(forgiven ? s.lost : s.failures);
  if (!forgiven && (fault == "bad_input" || s.failures >= s.attempts_max))
    end(j, "failed");
  else if (!forgiven && fault != "device" && fault != "out_of_memory")
    s.not_before = time_.now() + std::min(micros{s.backoff_ms} << (s.failures - 1), backoff_ms_max) * millisecond;
}

void auditor::end(job_record& j, const std::string& status) {
  j.status = status;
  j.ended = true;
  ++j.ends;
  --open_;
  for (auto& s : j.stages)
    if (s.now != at::succeeded)
      s.now = at::over, s.ended = s.attempt;
}

void auditor::check_job(const std::string& name) {
  auto found = jobs_.find(name);
  if (found == jobs_.end() || found->second.stages.empty())
    return complain(fmt::format("money moves for job {}, which is not there", name));
  auto& j = found->second;
  if (j.history.empty() || j.history.back().second != j.status)
    note(j.history, time_.now(), j.status);
  std::int64_t due = 0;
  for (const auto& s : j.stages)
    due += s.paid ? s.price : 0;
  if (j.captured != due)
    complain(fmt::format("job {} is charged {}, and what it has done costs {}", name, j.captured, due));
  if (j.captured > j.price)
    complain(fmt::format("job {} was quoted {} and is charged {}", name, j.price, j.captured));
  const auto& holds = accounts_[j.account].holds;
  bool paid_up = j.ends > 0; // what is made again is paid already
  if (j.price > 0 && holds.contains(name) == paid_up)
    complain(fmt::format("job {} is {} and its hold is {}", name, j.status, paid_up ? "open" : "gone"));
  if (j.open_row == j.ended)
    complain(fmt::format("job {} is {} and its row says that it is {}", name, j.status, j.open_row ? "open" : "over"));
  if (!j.forgotten && j.row_status != j.status)
    complain(fmt::format("job {} is {} and its row says '{}'", name, j.status, j.row_status));
  if (j.told_ends > j.ends)
    complain(fmt::format("the end of job {} is told {} times", name, j.told_ends));
}

void auditor::on_row(const storage::row& r) {
  story_.mix(r.key);
  if (r.in == table::open_jobs) {
    jobs_[r.key].open_row = r.value.has_value();
    touched_jobs_.insert(r.key);
  } else if (r.in == table::jobs && r.value) {
    auto row = decode(*r.value);
    jobs_[r.key].row_status = row.value("status", std::string{});
    touched_jobs_.insert(r.key);
  } else if (r.in == table::idempotency && r.value) {
    auto made = decode(*r.value).value("job", std::string{});
    auto [known, fresh] = once_.emplace(r.key, made);
    if (!fresh && known->second != made)
      complain(fmt::format("one key made the jobs {} and {}", known->second, made));
  }
}

void auditor::on_entry(const std::string& account_name, const std::string& entry) {
  ++counted_.entries;
  auto& of = accounts_[account_name];
  ++of.fed;
  of.entries.push_back(std::hash<std::string>{}(entry));
  story_.mix(entry);
  auto said = decode(entry);
  auto what = said.value("event", std::string{}), name = said.value("job", std::string{});
  auto found = jobs_.find(name);
  if (found == jobs_.end())
    return complain(fmt::format("the log of {} tells of job {}, which is not there", account_name, name));
  auto& j = found->second;
  if (j.account != account_name)
    complain(fmt::format("the log of {} tells of job {} of {}", account_name, name, j.account));
  if (what == "done") {
    ++j.told_ends;
    if (said["data"].value("status", std::string{}) != j.status)
      complain(fmt::format("job {} is {} and is told to be {}", name, j.status, said["data"].value("status", "")));
    if (said["data"].value("micro_credits_used", std::int64_t{-1}) != j.captured)
      complain(fmt::format("job {} was charged {} and is told otherwise", name, j.captured));
    touched_jobs_.insert(name);
  } else if (j.ended && j.told_ends == j.ends) {
    complain(fmt::format("'{}' of job {} is told after its end", what, name));
  }
}

// -- what clients were told -------------------------------------------------------------------------------------------

void auditor::on_quoted(const std::string& name, quote what) { promises_[name] = {std::move(what), false, false}; }

void auditor::on_accepted(const std::string& name, std::int64_t held, std::int64_t balance) {
  ++counted_.accepted;
  auto& promised = promises_[name];
  promised.accepted = true;
  if (!jobs_.contains(name))
    return complain(fmt::format("job {} was accepted and is not on the disk", name));
  if (held != promised.price)
    complain(fmt::format("job {} was quoted {} and told to hold {}", name, promised.price, held));
  auto& of = accounts_[promised.account];
  if (promised.price > 0 && of.balance_after_hold[name] != balance)
    complain(
        fmt::format("after job {} the balance is {}, and {} was told", name, of.balance_after_hold[name], balance));
}

void auditor::on_refused(const std::string& name) {
  promises_[name].refused = true;
  if (jobs_.contains(name))
    complain(fmt::format("job {} was refused and is on the disk", name));
}

void auditor::on_status_told(const std::string& name, const std::string& status, micros asked_at) {
  auto found = jobs_.find(name);
  if (found == jobs_.end())
    return complain(fmt::format("job {} is told to be {} and is not on the disk", name, status));
  if (!was_true(found->second.history, asked_at, status))
    complain(fmt::format("job {} is told to be {} and is {}", name, status, found->second.status));
}

void auditor::on_workflow_told(const std::string& name, const std::string& workflow, std::uint32_t version,
                               std::size_t stages) {
  const auto& asked = promises_[name];
  if (workflow != asked.workflow || version != asked.version || stages != asked.stages)
    complain(fmt::format("job {} was asked for by {}, version {}, {} stages, and goes by {}, version {}, {} stages",
                         name, asked.workflow, asked.version, asked.stages, workflow, version, stages));
}

void auditor::on_books_told(const std::string& name, std::int64_t balance, std::int64_t held, micros asked_at) {
  auto& of = accounts_[name];
  if (of.history.empty() ? balance != 0 || held != 0 : !was_true(of.history, asked_at, std::pair{balance, held}))
    complain(fmt::format("{} is told to have {} and to hold {}; it has {} and holds {}", name, balance, held,
                         of.books["wallet"], of.books["held"]));
}

void auditor::on_paid(const std::string& name, const std::string& kind, const std::string& reference,
                      std::int64_t amount) {
  accounts_[name].asked[kind + "/" + reference] = amount;
}

void auditor::on_paid_answer(const std::string& name, const std::string& kind, const std::string& reference) {
  if (!accounts_[name].paid.contains(kind + "/" + reference))
    complain(fmt::format("{}/{} of {} was acknowledged and is not on the disk", kind, reference, name));
}

void auditor::on_heard(const std::string& name, std::uint64_t id, const std::string& entry) {
  const auto& of = accounts_[name];
  if (id == 0 || id > of.entries.size())
    complain(fmt::format("{} hears entry {} of {}", name, id, of.entries.size()));
  else if (of.entries[static_cast<std::size_t>(id - 1)] != std::hash<std::string>{}(entry))
    complain(fmt::format("entry {} of {} is not what was written", id, name));
}

// -- the lines --------------------------------------------------------------------------------------------------------

void auditor::on_sent(const std::string& node, std::uint32_t slots, const wire::to_node& message) {
  if (auto given = std::get_if<wire::assign>(&message)) {
    auto& on = live_[node][given->device];
    story_.say("head: {} stage {} attempt {} goes to {}/{}", given->ref.job, given->ref.stage, given->ref.attempt, node,
               given->device);
    auto found = jobs_.find(given->ref.job);
    if (found == jobs_.end())
      complain(fmt::format("job {} is run and is not on the disk", given->ref.job));
    // A newer attempt of a stage takes the older one's place on its device (docs/node-protocol.md).
    std::erase_if(on, [&](const auto& a) { return a.job == given->ref.job && a.stage == given->ref.stage; });
    on.insert(given->ref);
    if (on.size() > slots)
      complain(fmt::format("{}/{} has {} slots and is given {} attempts", node, given->device, slots, on.size()));
  } else if (auto unwanted = std::get_if<wire::cancel>(&message)) {
    story_.say("head: {} stage {} attempt {} on {} is to stop", unwanted->ref.job, unwanted->ref.stage,
               unwanted->ref.attempt, node);
    for (auto& [device, on] : live_[node])
      on.erase(unwanted->ref);
  } else if (auto noted = std::get_if<wire::acknowledge>(&message)) {
    check_may_forget(noted->ref);
  }
}

void auditor::check_may_forget(const wire::attempt_ref& ref) {
  auto found = jobs_.find(ref.job);
  if (!finished_.contains(ref) || found == jobs_.end() || found->second.ended ||
      ref.stage >= found->second.stages.size())
    return;
  const auto& s = found->second.stages[ref.stage];
  if ((s.now == at::running || s.is_lost()) && s.attempt == ref.attempt)
    complain(fmt::format("the result of attempt {} of stage {} of {} may be forgotten and is not on the disk",
                         ref.attempt, ref.stage, ref.job));
}

void auditor::on_said(const std::string& node, const wire::from_node& message) {
  auto over = [&](const wire::attempt_ref& ref) {
    for (auto& [device, on] : live_[node])
      on.erase(ref);
  };
  if (auto hello = std::get_if<wire::hello>(&message)) {
    live_[node].clear();
    for (const auto& r : hello->unacknowledged)
      finished_.insert(r.ref);
    for (const auto& r : hello->running)
      live_[node][r.device].insert(r.ref);
  } else if (auto done = std::get_if<wire::finished>(&message)) {
    over(done->ref);
    finished_.insert(done->ref);
  } else if (auto bad = std::get_if<wire::failed>(&message)) {
    over(bad->ref);
  } else if (std::holds_alternative<wire::goodbye>(message)) {
    live_[node].clear();
  }
}

void auditor::on_node_lost(const std::string& node) { live_[node].clear(); }
void auditor::on_head_died() { live_.clear(); }

// -- questions --------------------------------------------------------------------------------------------------------

std::vector<std::string> auditor::jobs_of(const std::string& name) const {
  std::vector<std::string> out;
  for (const auto& [job_name, j] : jobs_)
    if (j.account == name && !j.forgotten)
      out.push_back(job_name);
  return out;
}

bool auditor::has_ended(const std::string& name) const {
  auto found = jobs_.find(name);
  return found != jobs_.end() && found->second.ended;
}

std::string auditor::status_of(const std::string& name) const {
  auto found = jobs_.find(name);
  return found == jobs_.end() ? "" : found->second.status;
}

std::optional<std::string> auditor::output_of(const std::string& name, std::size_t index) const {
  auto found = jobs_.find(name);
  if (found == jobs_.end() || index >= found->second.stages.size() || found->second.stages[index].output.empty())
    return std::nullopt;
  return found->second.stages[index].output;
}

std::int64_t auditor::wallet(const std::string& name) const {
  auto found = accounts_.find(name);
  return found == accounts_.end() || !found->second.books.contains("wallet") ? 0 : found->second.books.at("wallet");
}

std::int64_t auditor::held(const std::string& name) const {
  auto found = accounts_.find(name);
  return found == accounts_.end() || !found->second.books.contains("held") ? 0 : found->second.books.at("held");
}

std::vector<auditor::ready_stage> auditor::ready_stages() const {
  std::vector<ready_stage> out;
  for (const auto& [name, j] : jobs_)
    for (std::size_t i = 0; i < j.stages.size(); ++i) {
      const auto& s = j.stages[i];
      auto done = [&](auto needed) { return j.stages[needed].now == at::succeeded; };
      if (!j.ended && j.begun && s.now == at::waiting && s.not_before <= time_.now() &&
          std::all_of(s.needs.begin(), s.needs.end(), done))
        out.push_back({name, i, s.kind, s.failed_on});
    }
  return out;
}

std::size_t auditor::given_to(const std::string& node, const std::string& device) const {
  auto on = live_.find(node);
  if (on == live_.end())
    return 0;
  auto found = on->second.find(device);
  return found == on->second.end() ? 0 : found->second.size();
}

std::uint64_t auditor::told_to(const std::string& name) const {
  auto found = accounts_.find(name);
  return found == accounts_.end() ? 0 : found->second.fed;
}

std::vector<std::string> auditor::accounts() const {
  std::vector<std::string> out;
  for (const auto& [name, of] : accounts_)
    out.push_back(name);
  return out;
}

micros auditor::work_left() const {
  constexpr micros to_settle = 45 * second; // an attempt that was lost is noticed, taken back or placed anew
  micros out = 0;
  for (const auto& [name, j] : jobs_)
    for (const auto& s : j.stages)
      if (!j.ended && s.now != at::succeeded)
        out += (s.attempts_max + 1) *
               (micros{s.timeout_s} * second + to_settle + (micros{s.backoff_ms} * millisecond << s.attempts_max));
  return out;
}

void auditor::final_audit() {
  for (const auto& [name, j] : jobs_) {
    if (!j.ended)
      complain(fmt::format("job {} has not ended: it is {}", name, j.status));
    if (j.told_ends != j.ends)
      complain(fmt::format("job {} has ended {} times and it was told {} times", name, j.ends, j.told_ends));
  }
  for (const auto& [name, of] : accounts_)
    if (!of.holds.empty())
      complain(fmt::format("{} holds for job {}, and all have ended", name, of.holds.begin()->first));
  for (const auto& [name, promised] : promises_)
    if (promised.accepted && !jobs_.contains(name))
      complain(fmt::format("job {} was accepted and is gone", name));
}

} // namespace troupe::simulation
