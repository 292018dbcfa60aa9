#pragma once

// What an operator can set: cluster.conf (TOML), the environment, the command line. One table of keys
// (configuration_keys) says what there is; parsing, environment names and the shipped cluster.conf are derived from it.

#include "common/result.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe {

/// Every setting with its default. What each means, its unit and its range: configuration_keys().
struct configuration {
  struct {
    std::string listen = "127.0.0.1:8080";
    std::int64_t threads = 0;
    std::int64_t connections_max = 10'000;
    std::int64_t header_timeout_ms = 10'000;
    std::int64_t body_timeout_ms = 60'000;
    std::int64_t idle_timeout_ms = 75'000;
    std::int64_t body_max_mib = 64;
    std::vector<std::string> trusted_proxies;
    std::string public_url;
  } http;
  struct {
    std::string directory = "data";
  } data;
  struct {
    std::string level = "info";
  } log;
  struct {
    std::vector<std::string> listen, advertise;
  } cluster;
  struct {
    bool local = true;
    std::int64_t timeout_ms = 4'000;
    std::int64_t lease_ms = 30'000;
    std::int64_t heartbeat_ms = 1'000;
    std::int64_t slots = 0;
    std::int64_t cache_mib = 4'096;
  } node;
  struct {
    std::vector<std::string> disabled, slots, vram_reserved_mib;
  } devices;
  struct {
    std::int64_t in_flight_per_account = 64;
    std::int64_t queue_max = 1'000'000;
    std::int64_t queue_per_account = 10'000;
    std::int64_t interactive_share_percent = 10;
    std::int64_t standard_share_percent = 10;
    std::int64_t preemptible_share_percent = 5;
    std::int64_t interactive_lead_ms = 10'000;
    std::int64_t preemptible_lag_ms = 30'000;
    std::int64_t warm_lead_ms = 2'000;
    std::int64_t warm_run_max_ms = 120'000;
    std::int64_t residency_min_ms = 5'000;
    std::int64_t aging_after_ms = 120'000;
    std::int64_t aging_period = 64;
    std::int64_t reserve_after_ms = 60'000;
    std::int64_t preempt_after_ms = 2'000;
    std::int64_t preempt_run_min_ms = 5'000;
    std::int64_t preemptions_max = 3;
    std::int64_t straggler_percent = 200;
    std::int64_t straggler_run_min_ms = 5'000;
    std::int64_t stragglers_share_percent = 10;
    std::int64_t failures_to_quarantine = 3;
    std::int64_t quarantine_s = 600;
  } scheduler;
  struct {
    bool stand_ins_allowed = true;
    std::vector<std::string> disabled;
  } engines;
  struct {
    std::string directory;
  } workflows;
  struct {
    std::int64_t signup_per_address_hour = 5;
    std::int64_t login_per_address_5min = 10;
    std::int64_t spend_per_user_minute = 10;
    std::int64_t payments_per_user_minute = 10;
    std::int64_t per_key_minute = 60;
    std::int64_t per_address_10min = 5'000;
  } limits;
  struct {
    std::int64_t session_days = 30;
    std::int64_t session_refresh_s = 3'600;
  } accounts;
  struct {
    std::string smtp_url;
    std::string username;
    std::string password;
    std::string from = "troupe@localhost";
    bool require_tls = true;
  } mail;
  struct {
    std::string provider = "sandbox";
    std::string currency = "gbp";
    std::int64_t grace_days = 7;
    std::string stripe_url = "https://api.stripe.com";
    std::string stripe_publishable_key;
    std::string stripe_key, stripe_key_file;
    std::string stripe_webhook_secret, stripe_webhook_secret_file;
    std::vector<std::string> stripe_prices;
  } payments;
  struct {
    std::int64_t cache_mib = 256;
  } storage;
  struct {
    std::int64_t passivate_after_s = 300;
    std::int64_t halt_poll_us = 250;
  } actors;
};

/// Where a key's value lies in a configuration.
using configuration_slot = std::variant<bool*, std::int64_t*, std::string*, std::vector<std::string>*>;

struct configuration_key {
  const char* path;    // "http.listen"
  const char* meaning; // for cluster.conf: one or two lines
  configuration_slot (*slot)(configuration&);
  std::int64_t least = 0, most = 0;      // of integers, both allowed
  std::vector<const char*> choices = {}; // of texts; empty: any
  /// Of texts and items of lists: why it is wrong, "" when it is not.
  std::string (*wrong)(const std::string&) = nullptr;
};

/// All keys, in the order of the shipped file.
const std::vector<configuration_key>& configuration_keys();

/// "http.listen" → "TROUPE_HTTP__LISTEN".
std::string environment_name(const std::string& path);

/// Takes all settings out of this process's environment, for the sake of the processes it starts: they have no use for
/// them, and some are secrets. Before the first thread.
void clear_environment();

/// The environment's variables that begin with TROUPE_.
std::map<std::string, std::string> troupe_environment();

/// Reads the file, if one is given, then the environment, then the command line's overrides (path → text); the later
/// one wins. Lists are written with commas outside the file. Error: `configuration`, naming file, line and column (or
/// the variable), what is wrong, and for an unknown key the nearest known one.
result<configuration> load_configuration(const std::optional<std::filesystem::path>& file,
                                         const std::map<std::string, std::string>& environment = {},
                                         const std::map<std::string, std::string>& overrides = {});

/// As above, from text that is called `name` in errors.
result<configuration> read_configuration(std::string_view text, const std::string& name,
                                         const std::map<std::string, std::string>& environment = {},
                                         const std::map<std::string, std::string>& overrides = {});

/// cluster.conf as shipped: every key with its meaning, range and default.
std::string default_configuration_file();

} // namespace troupe
