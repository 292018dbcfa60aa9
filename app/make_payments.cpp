#include "app/make_payments.hpp"

#include "common/log.hpp"
#include "http/payments/sandbox.hpp"
#include "http/payments/stripe.hpp"

#include <fstream>

namespace troupe::app {

namespace {

constexpr std::size_t secrets_max = 8, secret_bytes_max = 512;

/// The lines of a file without the space around them, or the one that is given in the settings.
result<std::vector<std::string>> read_secrets(const std::string& given, const std::string& file) {
  if (!given.empty())
    return std::vector<std::string>{given};
  std::ifstream in(file);
  std::vector<std::string> out;
  for (std::string line; out.size() < secrets_max && std::getline(in, line);) {
    auto first = line.find_first_not_of(" \t\r"), last = line.find_last_not_of(" \t\r");
    if (first == std::string::npos)
      continue;
    out.push_back(line.substr(first, last - first + 1));
    auto printable = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
    if (out.back().size() > secret_bytes_max || !std::all_of(out.back().begin(), out.back().end(), printable))
      return fail("configuration", file + " does not hold a key");
  }
  if (out.empty())
    return fail("configuration", file + " cannot be read, or is empty");
  return out;
}

payments::price_table prices_of(const configuration& config) {
  payments::price_table out;
  for (const auto& one : config.payments.stripe_prices) {
    auto equals = one.find('=');
    out.push_back({one.substr(equals + 1), one.substr(0, equals)});
  }
  return out;
}

} // namespace

result<std::unique_ptr<payments::provider>> make_payment_provider(const configuration& config) {
  const auto& p = config.payments;
  if (p.provider == "sandbox") {
    log::warn("payments.provider is the sandbox, which takes no money: whoever has an account can have any tier");
    return std::unique_ptr<payments::provider>(std::make_unique<payments::sandbox>());
  }
  auto keys = read_secrets(p.stripe_key, p.stripe_key_file);
  if (!keys)
    return keys.error();
  payments::stripe_options options;
  options.client.url = p.stripe_url;
  options.client.key = keys->front();
  options.prices = prices_of(config);
  options.currency = p.currency;
  return std::unique_ptr<payments::provider>(std::make_unique<payments::stripe>(std::move(options)));
}

result<payments::settings> payment_settings(const configuration& config) {
  payments::settings out;
  out.grace_ms = config.payments.grace_days * 24 * 3600 * 1000;
  out.currency = config.payments.currency;
  out.publishable_key = config.payments.stripe_publishable_key;
  out.prices = prices_of(config);
  out.public_url = config.http.public_url;
  if (config.payments.provider == "stripe") {
    auto secrets = read_secrets(config.payments.stripe_webhook_secret, config.payments.stripe_webhook_secret_file);
    if (!secrets)
      return secrets.error();
    out.webhook_secrets = std::move(*secrets);
  }
  return out;
}

} // namespace troupe::app
