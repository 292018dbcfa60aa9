#include "common/configuration.hpp"
#include "common/networks.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace troupe {

namespace {

constexpr std::int64_t hour_ms = 3'600'000, day_ms = 24 * hour_ms;

std::string wrong_address(const std::string& text) {
  auto colon = text.rfind(':');
  unsigned port = 0;
  if (colon == std::string::npos || colon == 0)
    return "must be ADDRESS:PORT, e.g. 127.0.0.1:8080";
  auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port > 65'535)
    return "must end in a port, 0 to 65535";
  return "";
}

std::string wrong_endpoint(const std::string& text) {
  if (!text.starts_with("tcp://"))
    return "must be tcp://ADDRESS:PORT, e.g. tcp://0.0.0.0:7707";
  return wrong_address(text.substr(6));
}

std::string wrong_network(const std::string& text) {
  return networks::parse({text}) ? "" : "must be an address or a network, e.g. 10.0.0.0/8";
}

std::string wrong_web_address(const std::string& text) {
  auto fine = text.empty() || ((text.starts_with("https://") || text.starts_with("http://")) && !text.ends_with('/'));
  return fine && text.find_first_of(" \r\n\t\"<>#?") == std::string::npos
             ? ""
             : "must be https://HOST, without a slash at the end";
}

std::string wrong_mail_server(const std::string& text) {
  auto fine = text.empty() || text.starts_with("smtps://") || text.starts_with("smtp://");
  return fine && text.find('@') == std::string::npos
             ? ""
             : "must be smtps://HOST or smtp://HOST; the user name and password have keys of their own";
}

std::string wrong_sender(const std::string& text) {
  auto at = text.find('@');
  auto fine = at != std::string::npos && at > 0 && at + 1 < text.size() && text.find('@', at + 1) == std::string::npos;
  return fine && text.find_first_of(" \r\n\t<>,\"") == std::string::npos
             ? ""
             : "must be an address, e.g. studio@example.org";
}

std::string wrong_stripe_url(const std::string& text) {
  auto local = text.starts_with("http://127.0.0.1") || text.starts_with("http://localhost");
  if (!text.starts_with("https://") && !local) // the secret key travels there
    return "must begin with https://";
  return wrong_web_address(text);
}

std::string wrong_currency(const std::string& text) {
  auto letters = std::all_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return text.size() == 3 && letters ? "" : "must be a currency's three small letters, e.g. gbp";
}

std::string wrong_price(const std::string& text) {
  auto equals = text.find('=');
  static constexpr std::array sold{"starter", "creator", "pro", "studio", "enterprise"};
  bool fine = std::find(sold.begin(), sold.end(), text.substr(0, equals)) != sold.end() && equals + 1 < text.size();
  return fine ? "" : "must be TIER=PRICE, e.g. creator=price_1Abc";
}

std::string wrong_name(const std::string& text) {
  auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_'; };
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), plain) ? "" : "is no name";
}

std::string wrong_amount(const std::string& text, std::uint32_t most) {
  auto name = text.substr(0, text.find('='));
  auto number = text.substr(std::min(name.size() + 1, text.size()));
  std::uint32_t value = 0;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  bool fine = wrong_name(name).empty() && error == std::errc{} && end == number.data() + number.size() && value >= 1 &&
              value <= most;
  return fine ? "" : "must be DEVICE=NUMBER, from 1 to " + std::to_string(most) + ", e.g. cuda0=2";
}

std::string wrong_slots(const std::string& text) { return wrong_amount(text, 1'024); }

std::string wrong_memory(const std::string& text) { return wrong_amount(text, 16'777'216); }

std::string wrong_directory(const std::string& text) { return text.empty() ? "must not be empty" : ""; }

} // namespace

#define SLOT(member) [](configuration& c) -> configuration_slot { return &c.member; }

const std::vector<configuration_key>& configuration_keys() {
  static const std::vector<configuration_key> keys = {
      {"http.listen",
       "Where the HTTP API listens. Port 0 takes a free one.",
       SLOT(http.listen),
       0,
       0,
       {},
       wrong_address},
      {"http.threads", "Threads for connections; 0: one for each core, at most 8.", SLOT(http.threads), 0, 256},
      {"http.connections_max", "Open connections at most; further ones are closed.", SLOT(http.connections_max), 1,
       1'000'000},
      {"http.header_timeout_ms", "Milliseconds a client has for a request's headers.", SLOT(http.header_timeout_ms),
       100, 600'000},
      {"http.body_timeout_ms", "Milliseconds a body may make no progress.", SLOT(http.body_timeout_ms), 100, 3'600'000},
      {"http.idle_timeout_ms", "Milliseconds an idle connection is kept.", SLOT(http.idle_timeout_ms), 100, 3'600'000},
      {"http.body_max_mib", "The largest upload, in MiB.", SLOT(http.body_max_mib), 1, 65'536},
      {"http.trusted_proxies",
       "Addresses and networks of reverse proxies: only their X-Forwarded-For says who a client is.",
       SLOT(http.trusted_proxies),
       0,
       0,
       {},
       wrong_network},
      {"http.public_url",
       "Where people reach the studio, e.g. https://studio.example.org; for links in mails (empty: none) and the way "
       "back "
       "from a checkout.",
       SLOT(http.public_url),
       0,
       0,
       {},
       wrong_web_address},
      {"data.directory",
       "Where everything durable lies: database, artifacts, keys.",
       SLOT(data.directory),
       0,
       0,
       {},
       wrong_directory},
      {"log.level", "How much is logged.", SLOT(log.level), 0, 0, {"trace", "debug", "info", "warn", "error", "off"}},
      {"cluster.listen",
       "Where nodes on other machines dial in, e.g. [\"tcp://0.0.0.0:7707\"]; none: only the local node.",
       SLOT(cluster.listen),
       0,
       0,
       {},
       wrong_endpoint},
      {"cluster.advertise",
       "What nodes on other machines are told to dial, e.g. [\"tcp://head.example.org:7707\"]; none: cluster.listen, "
       "as "
       "far as it names an address.",
       SLOT(cluster.advertise),
       0,
       0,
       {},
       wrong_endpoint},
      {"node.local", "Start a node for this machine together with the head.", SLOT(node.local)},
      {"node.timeout_ms", "A node silent for so many milliseconds is lost, and its stages run elsewhere.",
       SLOT(node.timeout_ms), 500, 600'000},
      {"node.lease_ms", "A node that cannot reach the head for longer, in milliseconds, stops what it runs.",
       SLOT(node.lease_ms), 1'000, day_ms},
      // At most a third of the minute after which the head closes a silent line (link::peer_limits).
      {"node.heartbeat_ms", "Milliseconds between heartbeats, both ways.", SLOT(node.heartbeat_ms), 50, 20'000},
      {"node.slots", "Stages at a time on the CPU; 0: by the number of cores.", SLOT(node.slots), 0, 1'024},
      {"node.cache_mib", "Artifacts a node keeps to use again, in MiB.", SLOT(node.cache_mib), 64, 16'777'216},
      {"devices.disabled",
       "Devices that this machine's node leaves alone, by name or type, e.g. [\"cuda1\"] or [\"cuda\"]. Each machine "
       "has its own file: troupe node --config.",
       SLOT(devices.disabled),
       0,
       0,
       {},
       wrong_name},
      {"devices.slots",
       "Stages at a time on devices other than the CPU, by name or type, e.g. [\"cuda=2\", \"cuda1=4\"]; else one. 1 "
       "to 1024.",
       SLOT(devices.slots),
       0,
       0,
       {},
       wrong_slots},
      {"devices.vram_reserved_mib",
       "MiB of their memory that are kept for others, e.g. [\"cuda0=2048\"]; else none. 1 to 16777216.",
       SLOT(devices.vram_reserved_mib),
       0,
       0,
       {},
       wrong_memory},
      {"scheduler.in_flight_per_account", "Stages of one account that run at a time.",
       SLOT(scheduler.in_flight_per_account), 1, 100'000},
      {"scheduler.queue_max", "Stages that wait at most; beyond it jobs are refused with Retry-After.",
       SLOT(scheduler.queue_max), 1, 10'000'000},
      {"scheduler.queue_per_account", "Stages of one account that wait at most.", SLOT(scheduler.queue_per_account), 1,
       10'000'000},
      {"scheduler.interactive_share_percent",
       "Percent of the device time that interactive stages get at least while some wait; see docs/scheduling.md.",
       SLOT(scheduler.interactive_share_percent), 0, 100},
      {"scheduler.standard_share_percent", "The same for standard stages.", SLOT(scheduler.standard_share_percent), 0,
       100},
      {"scheduler.preemptible_share_percent",
       "The same for preemptible stages, who also keep that part of the slots. The three must not be above 100 "
       "together.",
       SLOT(scheduler.preemptible_share_percent), 0, 100},
      {"scheduler.interactive_lead_ms",
       "How much earlier than its turn an interactive stage counts, in milliseconds of device time by weight.",
       SLOT(scheduler.interactive_lead_ms), 0, hour_ms},
      {"scheduler.preemptible_lag_ms", "How much later a preemptible one counts; the same unit.",
       SLOT(scheduler.preemptible_lag_ms), 0, hour_ms},
      {"scheduler.warm_lead_ms",
       "How much earlier a stage counts on a device where its model is loaded; the same unit.",
       SLOT(scheduler.warm_lead_ms), 0, hour_ms},
      {"scheduler.warm_run_max_ms",
       "Milliseconds of device time for which an account's stages whose models are loaded go before its others.",
       SLOT(scheduler.warm_run_max_ms), 0, day_ms},
      {"scheduler.residency_min_ms",
       "Milliseconds that a model stays once it is loaded, while other stages fit that do not push it out.",
       SLOT(scheduler.residency_min_ms), 0, hour_ms},
      {"scheduler.aging_after_ms",
       "Milliseconds of waiting after which an account may be served out of turn, in one of aging_period starts.",
       SLOT(scheduler.aging_after_ms), 1'000, day_ms},
      {"scheduler.aging_period", "One start in so many goes to who has waited longest, beyond aging_after_ms; 0: none.",
       SLOT(scheduler.aging_period), 0, 1'000'000},
      {"scheduler.reserve_after_ms",
       "Milliseconds a stage waits for device memory before a device is kept free for it.",
       SLOT(scheduler.reserve_after_ms), 1'000, day_ms},
      {"scheduler.preempt_after_ms",
       "Milliseconds an interactive or standard stage waits for room before a preemptible one is stopped for it.",
       SLOT(scheduler.preempt_after_ms), 0, day_ms},
      {"scheduler.preempt_run_min_ms",
       "Milliseconds that a preemptible stage has run at least before it may be stopped.",
       SLOT(scheduler.preempt_run_min_ms), 0, day_ms},
      {"scheduler.preemptions_max", "How often a stage may be stopped for others; 0: none ever is.",
       SLOT(scheduler.preemptions_max), 0, 1'000},
      {"scheduler.straggler_percent",
       "Percent of its usual time after which a speculative stage gets a second attempt beside the first.",
       SLOT(scheduler.straggler_percent), 100, 10'000},
      {"scheduler.straggler_run_min_ms", "Milliseconds that it has run at least by then.",
       SLOT(scheduler.straggler_run_min_ms), 0, day_ms},
      {"scheduler.stragglers_share_percent", "Percent of the slots that second attempts may have; one may always run.",
       SLOT(scheduler.stragglers_share_percent), 1, 100},
      {"scheduler.failures_to_quarantine",
       "Failures in a row, of different work, after which a device gets no work for quarantine_s.",
       SLOT(scheduler.failures_to_quarantine), 1, 1'000},
      {"scheduler.quarantine_s", "Seconds a device that keeps failing gets no work; 0: until an operator enables it.",
       SLOT(scheduler.quarantine_s), 0, 2'592'000},
      {"engines.stand_ins_allowed",
       "Let embedded engines stand in for models that need hardware or services that are not there; results say so.",
       SLOT(engines.stand_ins_allowed)},
      {"engines.disabled",
       "Engines, or kinds of stages, that this machine's node does not offer, e.g. [\"speech\", \"scene.video\"].",
       SLOT(engines.disabled),
       0,
       0,
       {},
       wrong_name},
      {"workflows.directory",
       "Where the workflow definitions (*.json) lie; empty: where the program was built or installed.",
       SLOT(workflows.directory)},
      {"limits.signup_per_address_hour", "Signups from one address in an hour; 0: no limit.",
       SLOT(limits.signup_per_address_hour), 0, 1'000'000'000},
      {"limits.login_per_address_5min", "Logins from one address in five minutes; 0: no limit.",
       SLOT(limits.login_per_address_5min), 0, 1'000'000'000},
      {"limits.spend_per_user_minute", "Requests that spend credits, by user, in a minute; 0: no limit.",
       SLOT(limits.spend_per_user_minute), 0, 1'000'000'000},
      {"limits.payments_per_user_minute", "Top-ups, checkouts and portals, by user, in a minute; 0: no limit.",
       SLOT(limits.payments_per_user_minute), 0, 1'000'000'000},
      {"limits.per_key_minute", "Requests with one API key in a minute; 0: no limit.", SLOT(limits.per_key_minute), 0,
       1'000'000'000},
      {"limits.per_address_10min", "Requests from one address in ten minutes; 0: no limit.",
       SLOT(limits.per_address_10min), 0, 1'000'000'000},
      {"accounts.session_days", "Days a login lasts after its last use.", SLOT(accounts.session_days), 1, 3'650},
      {"accounts.session_refresh_s", "Seconds in which the use of a session is written at most once.",
       SLOT(accounts.session_refresh_s), 1, 86'400},
      {"mail.smtp_url",
       "The server that takes mails: smtps://HOST[:PORT], or smtp://HOST[:PORT] with STARTTLS. Empty: mails are files "
       "in "
       "the data directory's outbox/.",
       SLOT(mail.smtp_url),
       0,
       0,
       {},
       wrong_mail_server},
      {"mail.username", "The user name at that server; empty: none.", SLOT(mail.username)},
      {"mail.password", "Its password; better set by the environment, TROUPE_MAIL__PASSWORD.", SLOT(mail.password)},
      {"mail.from", "The address that mails come from.", SLOT(mail.from), 0, 0, {}, wrong_sender},
      {"mail.require_tls", "Send no mail over a connection that is not encrypted.", SLOT(mail.require_tls)},
      {"payments.provider",
       "Who takes the money. The sandbox takes none and pays at once. docs/payments.md says how to go live.",
       SLOT(payments.provider),
       0,
       0,
       {"sandbox", "stripe"}},
      {"payments.currency",
       "What prices are in; a credit costs a hundredth.",
       SLOT(payments.currency),
       0,
       0,
       {},
       wrong_currency},
      {"payments.grace_days", "Days a tier outlives a renewal that was not paid.", SLOT(payments.grace_days), 0, 90},
      {"payments.stripe_url", "Stripe's API.", SLOT(payments.stripe_url), 0, 0, {}, wrong_stripe_url},
      {"payments.stripe_publishable_key", "Stripe's publishable key, for /api/stripe/config.",
       SLOT(payments.stripe_publishable_key)},
      {"payments.stripe_key", "Stripe's secret key; better in a file, or TROUPE_PAYMENTS__STRIPE_KEY.",
       SLOT(payments.stripe_key)},
      {"payments.stripe_key_file", "The file that holds it.", SLOT(payments.stripe_key_file)},
      {"payments.stripe_webhook_secret",
       "The webhook's signing secret; better in a file, or TROUPE_PAYMENTS__STRIPE_WEBHOOK_SECRET.",
       SLOT(payments.stripe_webhook_secret)},
      {"payments.stripe_webhook_secret_file", "The file that holds it; several lines while it is rolled.",
       SLOT(payments.stripe_webhook_secret_file)},
      {"payments.stripe_prices",
       "Stripe's price for each tier, e.g. [\"creator=price_1Abc\"]; a tier without one is not sold. Of several the "
       "first "
       "is sold, the others are what older subscribers pay.",
       SLOT(payments.stripe_prices),
       0,
       0,
       {},
       wrong_price},
      {"storage.cache_mib", "Memory for the database's block cache, in MiB.", SLOT(storage.cache_mib), 8, 1'048'576},
      {"actors.passivate_after_s", "Seconds after which an idle account, ledger or job leaves memory.",
       SLOT(actors.passivate_after_s), 1, 86'400},
      {"actors.halt_poll_us", "Microseconds for which a head at work keeps up to four processors awake; 0: none.",
       SLOT(actors.halt_poll_us), 0, 10'000},
  };
  return keys;
}

#undef SLOT

} // namespace troupe
