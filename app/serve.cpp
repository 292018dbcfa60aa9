#include "app/file_limit.hpp"
#include "app/head_core.hpp"
#include "app/hold_sweep.hpp"
#include "app/load_config.hpp"
#include "app/make_admin.hpp"
#include "app/make_payments.hpp"
#include "app/portrait.hpp"
#include "common/exit_codes.hpp"
#include "common/log.hpp"
#include "gpu/node/supervisor.hpp"
#include "http/admin/admin.hpp"
#include "http/admin/audit.hpp"
#include "http/admin/nodes.hpp"
#include "http/application.hpp"
#include "http/bridge/head.hpp"
#include "http/bridge/limit_keeper.hpp"
#include "http/bridge/store_answer_book.hpp"
#include "http/bridge/store_authenticator.hpp"
#include "http/bridge/views.hpp"
#include "http/pages/mailed_links.hpp"
#include "http/pages/pages.hpp"
#include "http/server/server.hpp"
#include "http/studio/billing.hpp"
#include "http/studio/credits.hpp"
#include "http/studio/farewell.hpp"
#include "http/studio/keys.hpp"
#include "http/studio/login.hpp"
#include "http/studio/password.hpp"
#include "http/studio/prices.hpp"
#include "http/studio/profile.hpp"
#include "http/studio/sessions.hpp"
#include "http/studio/video.hpp"
#include "http/unified/quotes.hpp"
#include "http/url.hpp"
#include "http/workflows/jobs.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <unistd.h>

namespace troupe::http {

void register_gateway_messages();

}

namespace troupe::app {

namespace {

constexpr auto drain_time = std::chrono::seconds(10);

/// The default folder of the definitions: beside the binary's build tree, or where an installation put them.
std::filesystem::path workflow_folder(const configuration& config) {
  if (!config.workflows.directory.empty())
    return config.workflows.directory;
  return TROUPE_WORKFLOWS;
}

std::filesystem::path docs_folder() { return std::filesystem::path{TROUPE_PREFIX_DIRECTORY} / "docs-ui"; }

bool load_workflows(workflow::definition_store& store, const std::filesystem::path& folder) {
  auto problems = store.load(folder);
  for (const auto& p : problems)
    log::error("workflow {}", p.text());
  if (!problems.empty())
    log::error("{} mistakes in the workflow definitions in {}", problems.size(), folder.string());
  return problems.empty();
}

/// What nodes are told to dial: as set, else where the head listens, as far as that names one address.
std::vector<std::string> dial_endpoints(const configuration& config) {
  if (!config.cluster.advertise.empty())
    return config.cluster.advertise;
  std::vector<std::string> out;
  for (const auto& endpoint : config.cluster.listen) {
    bool any = endpoint.find("//0.0.0.0:") != std::string::npos || endpoint.find("//*:") != std::string::npos ||
               endpoint.find("//[::]:") != std::string::npos || endpoint.ends_with(":0");
    if (!any)
      out.push_back(endpoint);
  }
  return out;
}

http::mail_options mail_of(const configuration& config, const std::filesystem::path& data) {
  http::mail_options out;
  out.smtp_url = config.mail.smtp_url;
  out.username = config.mail.username;
  out.password = config.mail.password;
  out.from = config.mail.from;
  out.require_tls = config.mail.require_tls;
  out.outbox = data / "outbox";
  return out;
}

/// All that stands between the core and the socket, in the order in which it must be made.
struct front {
  front(const configuration& config, head_core& core_, workflow::definition_store& workflows, http::feed_hub& feeds,
        const http::secrets& keys, const catalog::tier_table& tiers, payments::provider& provider,
        payments::settings paid)
    : core(core_), actors(core.system(), core.others()), hashing(1), mails(mail_of(config, core_.data())),
      pictures(make_portrait), guard(core.blobs()), head{actors,
                                                         core.database(),
                                                         core.blobs(),
                                                         workflows,
                                                         workflow_folder(config),
                                                         core.offered(),
                                                         core.board(),
                                                         core.admins(),
                                                         feeds,
                                                         hashing,
                                                         keys,
                                                         mails,
                                                         pictures,
                                                         tiers,
                                                         config.engines.stand_ins_allowed,
                                                         config.accounts.session_days * 24 * 3600 * 1000,
                                                         config.accounts.session_refresh_s * 1000,
                                                         config.http.public_url,
                                                         {core.keys().public_key, dial_endpoints(config)}},
      authenticator(head), answers(head), desk(head, provider, std::move(paid)), due(head, provider.name()) {}

  result<void> open(const configuration& config);

  head_core& core;
  http::gateway actors;
  http::passwords hashing;
  http::mailer mails;
  http::portraits pictures;
  http::blob_guard guard;
  http::head head;
  http::store_authenticator authenticator;
  http::store_answer_book answers;
  payments::cashier desk;
  payments::due_watch due;
  http::metrics metrics;
  std::unique_ptr<http::application> application;
  std::unique_ptr<http::limit_keeper> limits;
  std::unique_ptr<http::server> server;
};

void add_metrics(front& f) {
  f.metrics.add_source([&f](http::metrics_text& out) {
    auto journal = f.core.database().journal().counters();
    out.counter("troupe_journal_batches_total", "Batches committed", static_cast<double>(journal.batches));
    out.counter("troupe_journal_syncs_total", "Disk syncs of the journal", static_cast<double>(journal.syncs));
    out.counter("troupe_journal_events_total", "Events written", static_cast<double>(journal.events));
    out.counter("troupe_journal_refused_total", "Batches refused", static_cast<double>(journal.refused));
    auto link = f.core.node_link()->counters();
    out.counter("troupe_link_frames_in_total", "Frames from nodes", static_cast<double>(link.frames_in));
    out.counter("troupe_link_frames_out_total", "Frames to nodes", static_cast<double>(link.frames_out));
    out.counter("troupe_link_malformed_total", "Malformed frames; each closed its peer",
                static_cast<double>(link.malformed));
    out.counter("troupe_link_unknown_fields_total", "Frames with fields that this head does not know",
                static_cast<double>(link.unknown_fields));
    out.counter("troupe_link_passed_over_total", "Progress and previews that came while the head was behind",
                static_cast<double>(link.passed_over));
    out.counter("troupe_link_denied_total", "Handshakes with a key that is not allowed",
                static_cast<double>(link.denied));
    out.begin("troupe_actors", "gauge", "Live actors by kind");
    for (const auto& [kind, count] : f.core.board().counts())
      out.sample("troupe_actors", {{"kind", kind}}, static_cast<double>(count));
    auto http = f.server ? f.server->statistics() : http::server_statistics{};
    out.gauge("troupe_http_connections", "Open connections", static_cast<double>(http.connections_open));
    out.gauge("troupe_http_streams", "Open event streams", static_cast<double>(http.streams_open));
    f.application->write_metrics(out);
  });
}

result<void> front::open(const configuration& config) {
  auto all = http::studio::credit_endpoints(head);
  auto add = [&](std::vector<http::endpoint> more) { std::move(more.begin(), more.end(), std::back_inserter(all)); };
  add(http::studio::login_endpoints(head));
  add(http::studio::session_endpoints(head));
  add(http::studio::key_endpoints(head));
  add(http::studio::password_endpoints(head));
  add(http::studio::profile_endpoints(head));
  add(http::studio::farewell_endpoints(head, guard, desk));
  add(http::studio::price_endpoints(head));
  add(http::studio::billing_endpoints(head, desk));
  add(http::studio::video_endpoints(head, guard));
  add(http::unified::quote_endpoints(head));
  add(http::workflows::endpoints(head, guard));
  add(http::admin::endpoints(head));
  add(http::admin::audit_endpoints(head));
  add(http::admin::node_endpoints(head));
  add(http::mailed_link_endpoints());
  http::pages_options pages;
  pages.about.version = TROUPE_VERSION;
  pages.docs_folder = docs_folder();
  pages.sources = &metrics;
  pages.ready.push_back({"workflows", [this] {
                           return head.workflows.all().empty() ? std::string{"no workflow is loaded"} : std::string{};
                         }});
  http::application_options options;
  options.answers = &answers;
  if (auto origin = http::origin_of(config.http.public_url); !origin.empty())
    options.own_origins.push_back(origin);
  options.secure_cookies = config.http.public_url.starts_with("https://");
  options.limits.spend_per_user_minute = config.limits.spend_per_user_minute;
  options.limits.payments_per_user_minute = config.limits.payments_per_user_minute;
  options.limits.login_per_address_5min = config.limits.login_per_address_5min;
  options.limits.signup_per_address_hour = config.limits.signup_per_address_hour;
  options.limits.per_key_minute = config.limits.per_key_minute;
  options.limits.per_address_10min = config.limits.per_address_10min;
  auto made = http::application::make(http::with_pages(std::move(all), std::move(pages)), authenticator, options);
  if (!made)
    return made.error();
  application = std::move(*made);
  limits = std::make_unique<http::limit_keeper>(application->limiter(), core.database());
  add_metrics(*this);
  http::server_options listen;
  auto colon = config.http.listen.rfind(':');
  if (colon == std::string::npos)
    return fail("listen", "http.listen must be address:port, as in 127.0.0.1:8080");
  listen.address = config.http.listen.substr(0, colon);
  if (listen.address.size() > 2 && listen.address.front() == '[')
    listen.address = listen.address.substr(1, listen.address.size() - 2);
  listen.port = static_cast<std::uint16_t>(std::atoi(config.http.listen.c_str() + colon + 1));
  auto cores = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
  listen.threads = config.http.threads == 0 ? cores : static_cast<unsigned>(config.http.threads);
  listen.connections_max = static_cast<std::size_t>(config.http.connections_max);
  listen.connections_per_address_max = listen.connections_max;
  listen.body_bytes_max = static_cast<std::uint64_t>(config.http.body_max_mib) << 20;
  listen.bodies_bytes_max = std::max(listen.bodies_bytes_max, 2 * listen.body_bytes_max);
  auto proxies = networks::parse(config.http.trusted_proxies);
  if (!proxies)
    return proxies.error();
  listen.trusted_proxies = std::move(*proxies);
  listen.header_time = std::chrono::milliseconds(config.http.header_timeout_ms);
  listen.body_time = std::chrono::milliseconds(config.http.body_timeout_ms);
  listen.idle_time = std::chrono::milliseconds(config.http.idle_timeout_ms);
  auto started = http::server::start(listen, [this](http::request&& r) { return application->answer(std::move(r)); });
  if (!started)
    return started.error();
  server = std::move(*started);
  return {};
}

// As lists are written on a command line.
std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& item : items)
    out += (out.empty() ? "" : ",") + item;
  return out;
}

/// Where its first process finds that a setting is wrong, this one is told to end, and `status` is why.
result<std::unique_ptr<node::supervisor>> start_local_node(const configuration& config, const head_core& core,
                                                           const std::string& program,
                                                           const std::atomic<bool>& stopping,
                                                           std::atomic<int>& status) {
  node::supervisor_options child;
  child.argv = {program,
                "node",
                "--head",
                core.local_endpoint(),
                "--head-key=" + core.keys().public_key, // Z85 may begin with a dash
                "--key",
                (core.data() / "node" / "curve.key").string(),
                "--folder",
                (core.data() / "node").string(),
                "--name",
                "local",
                "--exit-when-orphaned-ms",
                "60000",
                "--wait-for-folder", // the node of an earlier head may still work there: it is taken back
                std::to_string(::getpid())};
  auto set = [&child](const std::string& key, const std::string& value) {
    child.argv.insert(child.argv.end(), {"--set", key + "=" + value});
  };
  set("log.level", config.log.level);
  set("node.slots", std::to_string(config.node.slots));
  set("node.cache_mib", std::to_string(config.node.cache_mib));
  set("devices.disabled", joined(config.devices.disabled));
  set("devices.slots", joined(config.devices.slots));
  set("devices.vram_reserved_mib", joined(config.devices.vram_reserved_mib));
  set("engines.disabled", joined(config.engines.disabled));
  child.on_exit = [&stopping, &status, first = true](int ended) mutable {
    if (stopping)
      return false;
    if (std::exchange(first, false) && ended == exit_configuration) { // later it is the machine that has changed
      log::critical("a setting of the local node is wrong, as said above; this head ends");
      status = exit_configuration;
      ::kill(::getpid(), SIGTERM);
      return false;
    }
    log::error("the local node ended with status {}; it is started again", ended);
    return true;
  };
  return node::supervisor::start(std::move(child));
}

/// Blocks SIGTERM, SIGINT and SIGHUP in all threads that are made after it, so that one place waits for them.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (auto s : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&set, s);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return set;
}

/// TROUPE_ADMIN_PASSWORD opens nothing once somebody is called 'admin', who need not be one.
void warn_of_false_admin(const head_core& core) {
  auto account = http::find_account(core.database(), "admin");
  auto row = account ? http::read_row(core.database(), storage::table::accounts, *account) : std::nullopt;
  if (row && row->value("role", std::string{}) != "admin")
    log::error("the user 'admin' is NOT an admin, and TROUPE_ADMIN_PASSWORD is not its password: make an admin of "
               "another name with `troupe admin create`, and look at who 'admin' is");
}

void make_first_admin(head_core& core) {
  auto password = std::getenv("TROUPE_ADMIN_PASSWORD");
  if (password == nullptr)
    return;
  auto made = make_admin(core, "admin", password);
  if (made)
    log::info("the first admin is called 'admin'; its password is that of TROUPE_ADMIN_PASSWORD");
  else if (made.error().code == "exists")
    warn_of_false_admin(core);
  else
    log::error("the first admin could not be made: {}", made.error().message);
  unsetenv("TROUPE_ADMIN_PASSWORD"); // children have no use for it
}

/// Why there is no core. What cannot be listened on, for nodes, is as what cannot be listened on for clients.
int status_of(const failure& why) {
  if (why.code == "locked")
    return exit_temporary;
  return why.code == "address_in_use" || why.code == "link" ? exit_unavailable : exit_failure;
}

} // namespace

int serve(const serve_options& options) {
  auto config = load_config(options);
  if (!config)
    return exit_configuration;
  auto tariff = load_tariff(options);
  if (!tariff)
    return exit_configuration;
  clear_environment();
  catalog::use_prices(std::move(tariff->prices));
  start_log("head", config->log.level);
  raise_file_limit();
  auto signals = block_signals();
  http::register_gateway_messages();
  workflow::definition_store workflows;
  if (!load_workflows(workflows, workflow_folder(*config)))
    return exit_configuration;
  http::feed_hub feeds;
  auto core = head_core::start(*config, true, [&feeds](const account_id& account) { feeds.publish(account); });
  if (!core) {
    log::critical("{}", core.error().message);
    return status_of(core.error());
  }
  auto keys = http::secrets::load_or_make((*core)->data(), has_accounts(**core));
  if (!keys) {
    log::critical("{}", keys.error().message);
    return exit_configuration;
  }
  auto provider = make_payment_provider(*config);
  auto paid = payment_settings(*config);
  if (!provider || !paid) {
    log::critical("{}", provider ? paid.error().message : provider.error().message);
    return exit_configuration;
  }
  make_first_admin(**core);
  front studio(*config, **core, workflows, feeds, *keys, tariff->tiers, **provider, std::move(*paid));
  if (auto opened = studio.open(*config); !opened) {
    log::critical("{}", opened.error().message);
    return exit_unavailable;
  }
  (*core)->resume_jobs();
  hold_sweep orphans(**core);
  std::atomic<bool> stopping{false};
  std::atomic<int> status{exit_ok};
  std::unique_ptr<node::supervisor> local;
  if (config->node.local) {
    auto started = start_local_node(*config, **core, options.program, stopping, status);
    if (!started) {
      log::critical("the local node cannot be started: {}", started.error().message);
      return exit_failure;
    }
    local = std::move(*started);
  }
  std::printf("listening on http://%s\n", studio.server->address().c_str());
  std::fflush(stdout);
  for (int signal = 0; sigwait(&signals, &signal) == 0;) {
    if (signal != SIGHUP)
      break;
    load_workflows(workflows, workflow_folder(*config));
  }
  log::info("stopping: no new requests, what runs may finish for {} s", drain_time.count());
  if (auto cut = studio.server->drain(drain_time); cut > 0)
    log::warn("{} connections had to be cut", cut);
  studio.server.reset();
  stopping = true;
  if (local)
    local->stop();
  return status;
}

} // namespace troupe::app
