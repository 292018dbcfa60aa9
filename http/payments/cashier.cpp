#include "http/payments/cashier.hpp"

#include "common/log.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

#include <future>

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
// A refund that overtakes the payment it is of is asked to come again; after that time it is of something else.
constexpr timestamp overtaking_ms = 3'600'000;

row event_row(const std::string& event, const std::string& type) {
  return {table::payment_events, event, pack({{"type", type}, {"at", now_ms()}}), false};
}

std::optional<std::string> account_of_customer(const http::head& h, const std::string& customer) {
  auto found = customer.empty() ? std::nullopt : http::read_row(h.database, table::customers, customer);
  return found && found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
}

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
  if (now.provider != with_.name())
    return out;
  out.customer = now.customer;
  out.subscription = now.subscription;
  out.plan = now.plan;
  out.tier = now.tier;
  out.active = now.status == "active" || now.status == "past_due";
  out.period_end = now.period_end;
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
  if (!paid.customer.empty())
    rows.push_back({table::customers, paid.customer, pack(paid.account), false});
  if (!event.empty())
    rows.push_back(event_row(event, "topup"));
  auto done = co_await h_.actors.ask(std::move(request));
  if (!done)
    co_return http::problem_of(done.error());
  log::info("payments: {} credits for account {} by payment {}{}", paid.credits, paid.account, paid.payment,
            done->transfers == 0 ? ", which were there already" : "");
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
  said.period_start = now.period_start;
  said.period_end = now.period_end;
  said.ends = now.ends;
  said.grace_ms = how_.grace_ms;
  said.at = now_ms();
  if (!type.empty())
    said.rows.push_back(event_row(event, type));
  if (!now.customer.empty())
    said.rows.push_back({table::customers, now.customer, pack(now.account), false});
  auto done = co_await h_.actors.ask(std::move(said));
  if (!done)
    co_return http::problem_of(done.error());
  if (done->changed)
    log::info("payments: the subscription of account {} is {}: bought {}, granted {}{}", now.account, done->status,
              done->plan, done->tier, done->next_tier.empty() ? "" : ", later " + done->next_tier);
  co_return std::move(*done);
}

asio::awaitable<std::optional<http::problem>> cashier::reverse(paid_back back, std::string event,
                                                               timestamp created) const {
  auto paid = http::read_row(h_.database, table::payments, back.payment);
  if (!paid) {
    if (now_ms() - created < overtaking_ms)
      co_return http::unavailable("The payment is not known yet; send this again");
    log::warn("payments: event {} gives back money of payment {}, which bought no credits here", event, back.payment);
    co_return std::nullopt;
  }
  book request;
  request.account = paid->value("account", std::string{});
  request.at = now_ms();
  movement one;
  one.kind = back.again ? "topup" : "reversal";
  one.amount = credits(std::min(back.credits, paid->value("credits", std::int64_t{0})));
  one.reference = back.reference;
  one.note = back.again ? "a dispute was won" : "paid back";
  request.movements.push_back(std::move(one));
  request.attached.rows.push_back(event_row(event, "reversal"));
  auto account = request.account;
  auto done = co_await h_.actors.ask(std::move(request));
  if (!done)
    co_return http::problem_of(done.error());
  log::info("payments: {} credits of payment {} of account {} were {}", back.credits, back.payment, account,
            back.again ? "given again" : "taken back, as far as they were there");
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

due_watch::due_watch(const http::head& h)
  : h_(h), thread_(look_every, look_every, [this](const std::stop_token&) { look(); }),
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
  std::promise<storage::commit_status> done;
  from.journal().commit(std::move(batch), [&done](storage::commit_status status) { done.set_value(status); });
  return done.get_future().get() == storage::commit_status::ok ? count : 0;
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
      due.push_back({account->get<std::string>(), at, now});
    return true;
  });
  for (auto& one : due)
    h_.actors.tell(std::move(one));
}

} // namespace troupe::payments
