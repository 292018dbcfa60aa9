#include "http/payments/cashier.hpp"

#include "common/log.hpp"
#include "http/bridge/commit.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

namespace troupe::payments {

namespace asio = boost::asio;
using storage::row;
using storage::table;

namespace {

constexpr std::size_t due_at_once_max = 500;
constexpr auto look_every = std::chrono::milliseconds(500);
constexpr auto forget_first = std::chrono::minutes(1), forget_every = std::chrono::minutes(24 * 60);
constexpr std::size_t forget_at_once_max = 10'000;
constexpr timestamp events_kept_ms = 90ll * 24 * 3600 * 1000; // Stripe repeats for three days; its dashboard for thirty
constexpr auto early_first = std::chrono::seconds(5), early_every = std::chrono::seconds(30);
constexpr timestamp early_kept_ms = 5ll * 24 * 3600 * 1000; // Stripe repeats the payment's event for three days
constexpr std::size_t early_at_once_max = 1'000;
constexpr std::size_t ledger_read_at_once = 500;

row event_row(const std::string& event, const std::string& type) {
  return {table::payment_events, event, pack({{"type", type}, {"at", now_ms()}}), false};
}

std::optional<std::string> account_of_customer(const http::head& h, const std::string& customer) {
  auto found = customer.empty() ? std::nullopt : http::read_row(h.database, table::customers, customer);
  return found && found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
}

/// That the account is this customer of the provider's, both ways.
void add_customer(std::vector<row>& to, const std::string& provider, const std::string& account,
                  const std::string& customer) {
  if (customer.empty())
    return;
  to.push_back({table::customers, customer, pack(account), false});
  to.push_back({table::customer_of, account, pack({{"provider", provider}, {"customer", customer}}), false});
}

/// What the reversal of that reference has taken until now, all its parts; nothing: there was none. Reads what the
/// account's ledger did since. Errors: those of the journal.
result<std::optional<micro_credits>> taken_by(const http::head& h, const std::string& account,
                                              const std::string& reference) {
  auto made =
      http::read_row(h.database, table::references, storage::key_of(storage::key_of(account, "reversal"), reference));
  if (!made || !made->is_number())
    return std::optional<micro_credits>{};
  micro_credits taken = 0;
  for (auto from = made->get<std::uint64_t>();;) { // ids of transfers count the ledger's events
    auto events = h.database.journal().events("ledger/" + account, from, ledger_read_at_once, false);
    if (!events)
      return events.error();
    for (const auto& [seq, bytes] : *events) {
      auto event = unpack(bytes);
      if (!event || event->value("kind", std::string{}) != "reversal")
        continue;
      if (seq == made->get<std::uint64_t>() || event->value("completes", std::string{}) == reference)
        taken += event->value("amount", micro_credits{0});
    }
    if (events->size() < ledger_read_at_once)
      return std::optional(taken);
    from = events->back().first + 1;
  }
}

/// What the ledger is asked to do when a payment is paid back, or (`again`) comes back; nothing: it is not known yet
/// what it is of.
result<std::optional<book>> booking_of(const http::head& h, const paid_back& back, const std::string& event) {
  auto paid = http::read_row(h.database, table::payments, back.payment);
  if (!paid)
    return std::optional<book>{};
  book out;
  out.account = paid->value("account", std::string{});
  out.at = now_ms();
  movement one;
  one.kind = back.again ? "reinstatement" : "reversal";
  one.amount = credits(std::min(back.credits, paid->value("credits", std::int64_t{0})));
  one.reference = back.reference;
  one.note = back.again ? "came back" : "paid back";
  if (back.again) {
    auto taken = taken_by(h, out.account, back.reference);
    if (!taken)
      return taken.error();
    if (!*taken)
      return std::optional<book>{};
    one.amount = **taken;
  }
  out.movements.push_back(std::move(one));
  out.attached.rows.push_back(event_row(event, "reversal"));
  return std::optional(std::move(out));
}

std::string early_key(const paid_back& back) {
  return storage::key_of(back.payment, (back.again ? "again/" : "back/") + back.reference);
}

struct early_reversal {
  std::string key, event;
  paid_back back;
  timestamp at = 0;
};

/// Those whose key begins with `prefix` and comes after `after`, a bounded number at once.
std::vector<early_reversal> early_reversals(const http::head& h, const std::string& prefix, const std::string& after) {
  std::vector<early_reversal> out;
  h.database.scan(table::early_reversals, prefix, after, false, [&](std::string_view at, std::string_view value) {
    auto read = unpack(value);
    auto kept = read && read->is_object() ? std::move(*read) : json::object();
    early_reversal one;
    one.key = at;
    one.event = kept.value("event", std::string{});
    one.at = kept.value("at", timestamp{0});
    one.back = paid_back{kept.value("payment", std::string{}), kept.value("reference", std::string{}),
                         kept.value("credits", std::int64_t{0}), kept.value("again", false)};
    out.push_back(std::move(one));
    return out.size() < early_at_once_max;
  });
  return out;
}

/// Whether it was taken up.
bool take_up(const http::head& h, const early_reversal& one, timestamp now) {
  row gone{table::early_reversals, one.key, std::nullopt, false};
  auto request = booking_of(h, one.back, one.event);
  if (request && *request) { // what is asked twice moves once
    (*request)->attached.rows.push_back(std::move(gone));
    h.actors.tell(std::move(**request));
    return true;
  }
  if (request && now - one.at > early_kept_ms) {
    storage::batch forgotten;
    forgotten.rows.push_back(std::move(gone));
    http::commit_and_wait(h.database.journal(), std::move(forgotten));
    log::warn("payments: event {} paid back payment {}, which bought no credits here: if it was of a subscription, end "
              "that at Stripe",
              one.event, one.back.payment);
  }
  return false;
}

/// Whether the ledger says that this was booked long ago: it keeps rows of what it no longer knows by heart.
bool is_known(const caf::error& why) { return read_refusal(why).why == refusal::exists; }

} // namespace

bool cashier::took(const std::string& event) const { return h_.database.get(table::payment_events, event).has_value(); }

subscription_view cashier::known(const std::string& account) const {
  auto found = http::read_row(h_.database, table::subscriptions, account);
  return found ? found->get<subscription_view>() : subscription_view{};
}

buyer cashier::buyer_of(const std::string& account) const {
  auto now = known(account);
  buyer out;
  out.account = account;
  auto customer = http::read_row(h_.database, table::customer_of, account).value_or(json::object());
  if (customer.value("provider", std::string{}) == with_.name())
    out.customer = customer.value("customer", std::string{});
  if (now.provider != with_.name())
    return out;
  if (!now.customer.empty())
    out.customer = now.customer;
  out.subscription = now.subscription;
  out.plan = now.plan;
  out.tier = now.tier;
  out.active = now.status == "active" || now.status == "past_due";
  out.period_end = now.period_end;
  return out;
}

std::vector<row> cashier::rows_to_forget(const std::string& account) const {
  std::vector<row> out{{table::customer_of, account, std::nullopt, false}};
  auto kept = http::read_row(h_.database, table::customer_of, account).value_or(json::object());
  for (const auto& customer : {kept.value("customer", std::string{}), known(account).customer})
    if (!customer.empty())
      out.push_back({table::customers, customer, std::nullopt, false});
  return out;
}

asio::awaitable<std::variant<booked, http::problem>> cashier::credit(paid_credits paid, std::string event,
                                                                     std::vector<movement> extra) const {
  book request;
  request.account = paid.account;
  request.at = now_ms();
  request.movements = std::move(extra);
  movement topup;
  topup.kind = "topup";
  topup.amount = credits(paid.credits);
  topup.reference = paid.payment;
  topup.note = std::string{"top-up, "} + with_.name();
  request.movements.push_back(std::move(topup));
  auto& rows = request.attached.rows;
  rows.push_back({table::payments, paid.payment, pack({{"account", paid.account}, {"credits", paid.credits}}), false});
  add_customer(rows, with_.name(), paid.account, paid.customer);
  if (!event.empty())
    rows.push_back(event_row(event, "topup"));
  auto done = co_await h_.actors.ask(std::move(request));
  if (!done && is_known(done.error())) {
    log::info("payments: payment {} of account {} was booked long ago", paid.payment, paid.account);
    co_return booked{};
  }
  if (!done)
    co_return http::problem_of(done.error());
  log::info("payments: {} credits for account {} by payment {}{}", paid.credits, paid.account, paid.payment,
            done->transfers == 0 ? ", which were there already" : "");
  for (const auto& one : early_reversals(h_, storage::key_of(paid.payment, ""), ""))
    take_up(h_, one, now_ms());
  co_return std::move(*done);
}

asio::awaitable<std::variant<subscription_view, http::problem>>
cashier::subscription(subscription_is now, timestamp created, std::string event, std::string type) const {
  report_subscription said;
  said.account = now.account;
  said.event = event;
  said.provider = with_.name();
  said.customer = now.customer;
  said.subscription = now.subscription;
  said.plan = now.plan;
  said.status = now.status;
  said.created = created;
  said.began = now.began;
  said.period_start = now.period_start;
  said.period_end = now.period_end;
  said.ends = now.ends;
  said.grace_ms = how_.grace_ms;
  said.at = now_ms();
  if (!type.empty())
    said.rows.push_back(event_row(event, type));
  add_customer(said.rows, with_.name(), now.account, now.customer);
  auto before = known(now.account);
  auto done = co_await h_.actors.ask(std::move(said));
  if (!done)
    co_return http::problem_of(done.error());
  bool ran = before.status == "active" || before.status == "past_due";
  if (ran && !before.subscription.empty() && done->subscription != before.subscription)
    log::error("payments: subscription {} of account {} takes the place of {}, which runs on and is still charged: end "
               "that at the provider",
               done->subscription, now.account, before.subscription);
  if (done->changed)
    log::info("payments: the subscription of account {} is {}: bought {}, granted {}{}", now.account, done->status,
              done->plan, done->tier, done->next_tier.empty() ? "" : ", later " + done->next_tier);
  co_return std::move(*done);
}

asio::awaitable<std::optional<http::problem>> cashier::reverse(paid_back back, std::string event,
                                                               timestamp created) const {
  auto request = booking_of(h_, back, event);
  if (!request) {
    log::error("payments: event {} cannot be taken now: {}", event, request.error().message);
    co_return http::unavailable("The books cannot be read now; send this again");
  }
  if (!*request) { // it overtook what it is of, or is of something else that is sold with the same Stripe account
    storage::batch early;
    early.rows.push_back({table::early_reversals, early_key(back),
                          pack({{"payment", back.payment},
                                {"reference", back.reference},
                                {"credits", back.credits},
                                {"again", back.again},
                                {"event", event},
                                {"created", created},
                                {"at", now_ms()}}),
                          false});
    early.rows.push_back(event_row(event, "reversal"));
    auto kept = co_await http::commit(h_.database.journal(), std::move(early));
    if (kept != storage::commit_status::ok)
      co_return http::unavailable("This cannot be kept now; send it again");
    log::info("payments: event {} pays back payment {}, which is not known here (yet)", event, back.payment);
    co_return std::nullopt;
  }
  auto account = (*request)->account;
  auto done = co_await h_.actors.ask(std::move(**request));
  if (!done && !is_known(done.error()))
    co_return http::problem_of(done.error());
  log::info("payments: {} credits of payment {} of account {} were {}", back.credits, back.payment, account,
            back.again ? "given again, as far as they had been taken" : "taken back, as far as they were there");
  co_return std::nullopt;
}

asio::awaitable<std::optional<http::problem>> cashier::take(stripe_event event) const {
  if (auto* paid = std::get_if<paid_credits>(&event.what)) {
    if (!http::read_row(h_.database, table::accounts, paid->account)) {
      log::error("payments: event {} pays {} credits for account {}, which there is not", event.id, paid->credits,
                 paid->account);
      co_return std::nullopt;
    }
    std::vector<movement> none;
    auto done = co_await credit(std::move(*paid), event.id, std::move(none));
    if (auto* why = std::get_if<http::problem>(&done))
      co_return std::move(*why);
  } else if (auto* back = std::get_if<paid_back>(&event.what)) {
    co_return co_await reverse(std::move(*back), event.id, event.created);
  } else if (auto* now = std::get_if<subscription_is>(&event.what)) {
    if (now->account.empty())
      now->account = account_of_customer(h_, now->customer).value_or(std::string{});
    if (now->account.empty() || !http::read_row(h_.database, table::accounts, now->account)) {
      log::warn("payments: event {} is of customer {}, who has no account here", event.id, now->customer);
      co_return std::nullopt;
    }
    auto done = co_await subscription(std::move(*now), event.created, event.id, event.type);
    if (auto* why = std::get_if<http::problem>(&done))
      co_return std::move(*why);
  }
  co_return std::nullopt;
}

due_watch::due_watch(const http::head& h, std::string provider)
  : h_(h), provider_(std::move(provider)), thread_(look_every, look_every, [this](const std::stop_token&) { look(); }),
    early_(early_first, early_every, [this](const std::stop_token&) { take_up_early_reversals(h_, now_ms()); }),
    forgets_(forget_first, forget_every, [this](const std::stop_token& stop) {
      while (!stop.stop_requested() && forget_events(h_.database, now_ms() - events_kept_ms) > 0)
        ;
    }) {}

std::size_t forget_events(storage::database& from, timestamp before) {
  storage::batch batch;
  from.scan(table::payment_events, "", "", false, [&](std::string_view event, std::string_view value) {
    auto taken = unpack(value);
    if (!taken || !taken->is_object() || taken->value("at", timestamp{0}) < before)
      batch.rows.push_back({table::payment_events, std::string{event}, std::nullopt, false});
    return batch.rows.size() < forget_at_once_max;
  });
  auto count = batch.rows.size();
  if (count == 0)
    return 0;
  return http::commit_and_wait(from.journal(), std::move(batch)) == storage::commit_status::ok ? count : 0;
}

std::size_t take_up_early_reversals(const http::head& h, timestamp now) {
  std::size_t taken_up = 0;
  std::string after;
  for (;;) {
    auto some = early_reversals(h, "", after);
    for (const auto& one : some)
      taken_up += take_up(h, one, now) ? 1 : 0;
    if (some.size() < early_at_once_max)
      return taken_up;
    after = some.back().key;
  }
}

void due_watch::look() const {
  auto now = now_ms();
  std::vector<pass_time> due;
  h_.database.scan(table::subscription_due, "", "", false, [&](std::string_view key, std::string_view value) {
    auto at = std::strtoll(std::string{key.substr(0, 16)}.c_str(), nullptr, 16);
    auto account = unpack(value);
    if (at > now || due.size() >= due_at_once_max)
      return false;
    if (account && account->is_string())
      due.push_back({account->get<std::string>(), provider_, at, now});
    return true;
  });
  for (auto& one : due)
    h_.actors.tell(std::move(one));
}

} // namespace troupe::payments
