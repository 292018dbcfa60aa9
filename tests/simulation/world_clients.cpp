#include "tests/simulation/world.hpp"

#include <algorithm>

// What clients and operators do: what the handlers of http/ do, without HTTP.

namespace troupe::simulation {

namespace {

constexpr micros patience = 25 * second; // longer than the gateway waits
constexpr int tries_max = 12;
constexpr micro_credits allowance = credits(150);

bool is_definite(refusal why) { return why != refusal::unavailable; }

} // namespace

// -- the beginning ----------------------------------------------------------------------------------------------------

void world::found_studio() {
  for (std::size_t i = 0; i < clients_.size(); ++i)
    make_account(i);
  for (auto& node : nodes_) {
    allow(*node);
    node->start();
  }
}

void world::make_account(std::size_t who) {
  auto& c = clients_[who];
  if (c.there)
    return;
  if (head_) {
    create_account make;
    make.account = make.username = c.account;
    make.password_hash = "hash";
    make.role = who == 0 ? "admin" : "user";
    make.at = now_ms();
    head_->ask(std::move(make), true, [this, who](const caf::expected<account_view>& made) {
      if (!made && read_refusal(made.error()).why != refusal::exists)
        return;
      clients_[who].there = true;
      auto luck = root_.stream("first payment").stream(clients_[who].account);
      pay(who, "topup", "first-" + clients_[who].account, credits(luck.between(0, 400)));
    });
  }
  time_.after(patience, [this, who] { make_account(who); });
}

void world::allow(node_model& node, std::function<void()> then) {
  if (!head_)
    return;
  allow_node ask;
  ask.name = node.name();
  ask.public_key = node.key();
  ask.again = head_->nodes().find(node.name()).has_value();
  ask.at = now_ms();
  head_->ask_cluster(std::move(ask), [then](const caf::expected<description>& done) {
    if (done)
      then();
  });
}

// -- jobs -------------------------------------------------------------------------------------------------------------

workflow::plan world::draw_plan(dice& luck, std::size_t stages_max) const {
  workflow::plan out;
  out.workflow = "simulated";
  out.hash = std::string(64, 'a');
  auto count = 1 + luck.below(stages_max);
  for (std::uint32_t i = 0; i < count; ++i) {
    workflow::stage_instance s;
    s.index = i;
    s.stage = s.name = "s" + std::to_string(i);
    s.kind = kinds[luck.below(kinds.size())];
    s.params = {{"ms", luck.between(1, what_.work_ms)}};
    if (luck.permille(what_.spoilt))
      s.params["fail"] = "bad_input";
    if (luck.permille(300))
      s.params["model"] = "m" + std::to_string(luck.below(3));
    for (std::uint32_t j = 0; j < i; ++j)
      if (luck.permille(j + 1 == i ? 500 : 150)) {
        s.dependencies.push_back(j);
        s.inputs.push_back({"in" + std::to_string(j), false, {{j, "data"}}});
      }
    s.price =
        luck.permille(100) ? 0 : price_factor_ * luck.between(1, 12) * micro_per_credit / (luck.permille(100) ? 7 : 1);
    s.retry.attempts = static_cast<std::uint32_t>(luck.between(1, 4));
    s.retry.backoff_ms = static_cast<std::uint32_t>(luck.magnitude(100, 10'000));
    s.timeout_s = static_cast<std::uint32_t>(luck.between(5, 60));
    if (luck.permille(what_.urgencies))
      s.urgency = luck.permille(500) ? workflow::stage_class::interactive : workflow::stage_class::preemptible;
    s.speculative = luck.permille(what_.speculative);
    out.stages.push_back(std::move(s));
  }
  out.results.push_back({"file", {static_cast<std::uint32_t>(count - 1), "data"}, "{job}.bin", false});
  return out;
}

void world::submit(std::size_t who, dice luck, std::string once, std::size_t stages_max) {
  auto& c = clients_[who];
  auto w = std::make_shared<wish>();
  w->who = who;
  w->once = std::move(once);
  if (luck.permille(400)) {
    w->what = authors_.draw(luck);
  } else {
    auto plan = draw_plan(luck, stages_max);
    w->ordered.price = plan.price();
    w->ordered.stages = plan.stages.size();
    w->ordered.plan = std::make_shared<const workflow::plan>(std::move(plan));
  }
  if (!c.keys.empty() && luck.permille(500)) {
    const auto& key = luck.pick(c.keys);
    w->key = key.id;
    w->key_limit = key.limit;
  }
  if (!w->once.empty())
    c.once.push_back(w->once);
  wishes_.push_back(w);
  pursue(w);
}

void world::again_later(const wish_ptr& w) {
  if (w->once.empty() || (++w->tries > tries_max && !calm_)) {
    w->settled = true; // nobody will ever know, but by looking at the list of jobs
    return;
  }
  auto luck = root_.stream("patience").stream(w->once + std::to_string(w->tries));
  time_.after(luck.between(1, 8) * second, [this, w] { pursue(w); });
}

void world::settle(const wish_ptr& w, const std::string& what) {
  story_.say("client {}: {}", clients_[w->who].account, what);
  w->settled = true;
}

// The way of http/bridge/submission.cpp: the key is looked up, then the job is made with the row of the key in its
// batch.
void world::pursue(const wish_ptr& w) {
  if (w->settled)
    return;
  if (!head_)
    return again_later(w);
  auto& c = clients_[w->who];
  auto& database = head_->database();
  auto asked_at = time_.now();
  if (!w->key.empty()) { // as the authenticator does
    auto known = std::find_if(c.keys.begin(), c.keys.end(), [&](const auto& k) { return k.id == w->key; });
    bool opens = database.get(storage::table::api_keys, known->hash).has_value();
    if (opens && known->ended)
      auditor_.complain(fmt::format("the key {} was revoked and opens", w->key));
    if (!opens && known->made && !known->asked_to_end)
      auditor_.complain(fmt::format("the key {} was made and does not open", w->key));
    if (!opens)
      return settle(w, "401");
  }
  if (!database.get(storage::table::accounts, c.account))
    return w->once.empty() ? settle(w, "401: no account yet") : again_later(w);
  auto answered = std::make_shared<bool>(false);
  auto row_key = storage::key_of(c.account, w->once);
  if (auto row = w->once.empty() ? std::nullopt : database.get(storage::table::idempotency, row_key)) {
    auto made = unpack(*row)->value("job", std::string{});
    describe_job ask;
    ask.job = made;
    head_->ask(std::move(ask), false, [this, w, made, asked_at, answered](const caf::expected<description>& answer) {
      *answered = true;
      if (answer) {
        job_command_answered(made, asked_at, answer);
        settle(w, "got the job that its key made: " + made);
      } else if (read_refusal(answer.error()).why == refusal::not_found) {
        settle(w, "404: the job is forgotten");
      } else {
        again_later(w);
      }
    });
  } else {
    if (w->what) { // as the definitions are now, also when it asks again
      std::string wrong;
      auto made = authors_.order_of(*w->what, wrong);
      if (!wrong.empty())
        auditor_.complain(wrong);
      if (auto refused = std::get_if<std::string>(&made))
        return settle(w, *refused);
      w->ordered = std::get<order>(std::move(made));
    }
    const auto& [plan, price, stages] = w->ordered;
    submit_job command;
    command.job = "j" + std::to_string(++jobs_named_);
    command.account = c.account;
    command.generation = database.next_number("generation");
    if (command.generation == 0)
      return w->once.empty() ? settle(w, "503: no number") : again_later(w);
    command.feed_before = database.feed_last(account_id{c.account});
    command.workflow = plan->workflow;
    command.version = plan->version;
    command.definition = plan->hash;
    command.plan = plan;
    command.at = now_ms();
    command.period = month_of(command.at);
    command.allowance = allowance;
    command.key = w->key;
    command.key_limit = w->key_limit;
    auto job = command.job;
    if (!w->once.empty())
      command.rows.push_back({storage::table::idempotency, row_key, pack({{"at", command.at}, {"job", job}}), true});
    auditor_.on_quoted(job, {c.account, w->once, plan->workflow, plan->version, stages, price});
    story_.say("client {} submits {} of {}, version {}, for {}", c.account, job, plan->workflow, plan->version, price);
    head_->ask(std::move(command), true, [this, w, job, answered](const caf::expected<submitted_job>& answer) {
      *answered = true;
      if (answer) {
        auditor_.on_accepted(job, answer->held, answer->balance);
        return settle(w, job + " is accepted");
      }
      auto why = read_refusal(answer.error());
      if (!is_definite(why.why)) {
        story_.say("client {}: {} is not answered: {}", clients_[w->who].account, job, why.message);
        return again_later(w);
      }
      auditor_.on_refused(job);
      if (why.why == refusal::exists && !w->once.empty())
        return again_later(w); // an earlier try was made in the meantime
      settle(w, job + " is refused: " + to_string(why.why));
    });
  }
  time_.after(patience, [this, w, answered] {
    if (!*answered)
      again_later(w); // the head died on it
  });
}

std::string world::some_job(std::size_t who, dice& luck, bool ended) const {
  std::vector<std::string> fit;
  for (const auto& job : auditor_.jobs_of(clients_[who].account))
    if (auditor_.has_ended(job) == ended)
      fit.push_back(job);
  return fit.empty() ? std::string{} : luck.pick(fit);
}

void world::job_command_answered(const std::string& job, micros asked_at, const caf::expected<description>& answer) {
  if (!answer)
    return;
  auto status = answer->value.value("status", std::string{});
  story_.say("client: {} is {}", job, status);
  auditor_.on_status_told(job, status, asked_at);
  if (answer->value.contains("workflow_version")) // not of what a command answers
    auditor_.on_workflow_told(job, answer->value.at("workflow"), answer->value.at("workflow_version"),
                              answer->value.at("stages").size());
}

// -- money ------------------------------------------------------------------------------------------------------------

void world::pay(std::size_t who, const std::string& kind, const std::string& reference, std::int64_t amount) {
  auto& c = clients_[who];
  if (!head_ || amount == 0)
    return;
  book request;
  request.account = c.account;
  request.at = now_ms();
  movement m;
  m.kind = kind;
  m.amount = amount;
  m.reference = reference;
  request.movements.push_back(std::move(m));
  auditor_.on_paid(c.account, kind, reference, amount);
  story_.say("client {}: {} {} of {}", c.account, kind, reference, amount);
  head_->ask(std::move(request), false, [this, who, kind, reference](const caf::expected<booked>& done) {
    if (done || read_refusal(done.error()).why == refusal::exists)
      auditor_.on_paid_answer(clients_[who].account, kind, reference);
  });
}

// -- event streams ----------------------------------------------------------------------------------------------------

void world::pump(std::size_t who) {
  auto& c = clients_[who];
  if (!head_ || !c.listens)
    return;
  for (const auto& [id, entry] : head_->database().feed(account_id{c.account}, c.heard, 64)) {
    if (id != c.heard + 1)
      auditor_.complain(fmt::format("the stream of {} goes from {} to {}", c.account, c.heard, id));
    auditor_.on_heard(c.account, id, entry);
    c.heard = id;
  }
}

// -- one step ---------------------------------------------------------------------------------------------------------

void world::do_request(const step& what) {
  dice luck(what.seed);
  auto who = static_cast<std::size_t>(luck.below(clients_.size()));
  auto& c = clients_[who];
  auto asked_at = time_.now();
  auto fresh_reference = [this] { return "r" + std::to_string(++references_); };
  switch (what.what) {
    case act::submit: submit(who, luck, luck.permille(600) ? fresh_reference() : std::string{}, 5); return;
    case act::fan_out:
      for (int i = 0; i < 8; ++i)
        submit(who, luck.stream(std::to_string(i)), fresh_reference(), 12);
      return;
    case act::resubmit:
      if (!c.once.empty())
        submit(who, luck, std::string{luck.pick(c.once)}, 5);
      return;
    case act::top_up: {
      auto again = !c.payments.empty() && luck.permille(300);
      auto payment = again ? luck.pick(c.payments) : std::pair{fresh_reference(), credits(luck.between(1, 300))};
      if (!again)
        c.payments.push_back(payment);
      pay(who, "topup", payment.first, payment.second);
      return;
    }
    case act::refund: pay(who, "refund", fresh_reference(), credits(luck.between(1, 50))); return;
    case act::reverse:
      if (!c.payments.empty()) {
        const auto& payment = luck.pick(c.payments);
        c.reversals.push_back(payment.first);
        pay(who, "reversal", payment.first, payment.second);
      }
      return;
    default: break;
  }
  if (!head_)
    return;
  auto answered = [this, asked_at](const std::string& job) {
    return [this, job, asked_at](const caf::expected<description>& answer) {
      job_command_answered(job, asked_at, answer);
    };
  };
  switch (what.what) {
    case act::cancel:
      if (auto job = some_job(who, luck, luck.permille(100)); !job.empty()) {
        cancel_job command;
        command.job = job;
        command.at = now_ms();
        head_->ask(std::move(command), false, answered(job));
      }
      return;
    case act::describe:
      if (auto job = some_job(who, luck, luck.permille(400)); !job.empty()) {
        describe_job command;
        command.job = job;
        head_->ask(std::move(command), false, answered(job));
      }
      return;
    case act::forget:
      if (auto job = some_job(who, luck, luck.permille(900)); !job.empty()) {
        forget_job command;
        command.job = job;
        command.at = now_ms();
        head_->ask(std::move(command), false, [](const auto&) {});
      }
      return;
    case act::repair:
      if (auto job = some_job(who, luck, luck.permille(700)); !job.empty())
        if (auto file = auditor_.output_of(job, luck.below(3))) {
          blobs_.files.erase(*file);
          remake_artifact command;
          command.job = job;
          command.sha256 = *file;
          command.at = now_ms();
          head_->ask(std::move(command), false, answered(job));
        }
      return;
    case act::read_books: {
      read_books ask;
      ask.account = c.account;
      head_->ask(std::move(ask), false, [this, who, asked_at](const caf::expected<books>& answer) {
        if (answer)
          auditor_.on_books_told(clients_[who].account, answer->balance, answer->held, asked_at);
      });
      return;
    }
    case act::make_key: {
      create_key ask;
      ask.account = c.account;
      ask.key = std::to_string(c.keys.size() + 1000);
      ask.key_hash = "hash-" + c.account + "-" + ask.key;
      ask.at = now_ms();
      ask.terms.spend_limit = luck.permille(300) ? credits(luck.between(1, 100)) : 0;
      c.keys.push_back({ask.key, ask.key_hash, ask.terms.spend_limit, false, false, false});
      head_->ask(std::move(ask), false, [this, who, at = c.keys.size() - 1](const caf::expected<key_view>& done) {
        clients_[who].keys[at].made = static_cast<bool>(done);
      });
      return;
    }
    case act::revoke_key:
      if (!c.keys.empty()) {
        auto at = static_cast<std::size_t>(luck.below(c.keys.size()));
        c.keys[at].asked_to_end = true;
        revoke_key ask;
        ask.account = c.account;
        ask.key = c.keys[at].id;
        ask.at = now_ms();
        head_->ask(std::move(ask), false, [this, who, at](const caf::expected<key_view>& done) {
          clients_[who].keys[at].ended = clients_[who].keys[at].ended || static_cast<bool>(done);
        });
      }
      return;
    case act::reinstate:
      if (!c.reversals.empty()) {
        const auto& reference = luck.pick(c.reversals);
        for (const auto& [payment, amount] : c.payments)
          if (payment == reference)
            pay(who, "reinstatement", reference, amount);
      }
      return;
    case act::follow:
      c.listens = true;
      pump(who);
      return;
    case act::unfollow: c.listens = false; return;
    case act::explain:
      if (auto job = some_job(who, luck, false); !job.empty())
        head_->ask(explain_job{job, 3}, false, [](const auto&) {});
      return;
    default: return;
  }
}

void world::do_operator(const step& what) {
  dice luck(what.seed);
  auto& node = *luck.pick(nodes_);
  auto nothing = [](const caf::expected<description>&) {};
  if (what.what == act::reprice) {
    price_factor_ = luck.between(0, 3);
    return;
  }
  if (what.what == act::reload) {
    if (auto wrong = authors_.rewrite(luck, head_ != nullptr); !wrong.empty())
      auditor_.complain(wrong);
    note_security note; // as http/workflows does
    note.account = clients_.front().account;
    note.kind = "workflows_reloaded";
    note.at = now_ms();
    if (head_)
      head_->ask(std::move(note), false, [](const auto&) {});
    return;
  }
  if (what.what == act::node_leaves) {
    node.leave();
    time_.after(luck.magnitude(second, 30 * second), [&node] { node.start(); });
    return;
  }
  if (!head_)
    return;
  const auto& device = luck.pick(node.devices()).name;
  switch (what.what) {
    case act::drain:
      head_->ask_cluster(set_state{node.name(), luck.permille(500) ? "" : device, draining, {}}, nothing);
      return;
    case act::enable:
      head_->ask_cluster(set_state{node.name(), luck.permille(500) ? "" : device, enabled, {}}, nothing);
      return;
    case act::distrust: head_->ask_cluster(set_state{node.name(), device, quarantined, {}}, nothing); return;
    case act::remove_node: head_->ask_cluster(remove_node{node.name(), {}}, nothing); return;
    case act::rotate_node:
      node.rekey();
      allow(node);
      return;
    default: return;
  }
}

} // namespace troupe::simulation
